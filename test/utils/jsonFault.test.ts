import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeJsonFault, findJsonFault } from '../../utils/jsonFault.js';

test('malformed JSON is located', () => {
  const cases: [text: string, found: string][] = [
    ['{"command": hi}', 'at column 13: unexpected "hi}"'],
    ['{id:job1}', 'at column 2: unexpected "id:job1}"'],
    ["{'id':'job1'}", `at column 2: unexpected "'id':'job1'}"`],
    ['{"id":"a"', 'at column 10: it ends too early'],
    ['{', 'at column 2: it ends too early'],
    ['{"id":', 'at column 7: it ends too early'],
    ['{"id":"a",}', 'at column 11: unexpected "}"'],
    ['{"id":"a" "command":"b"}', String.raw`at column 11: unexpected "\"command\":\"b\"}"`],
    ['{"id" "a"}', String.raw`at column 7: unexpected "\"a\"}"`],
    ['{"a":[1,]}', 'at column 9: unexpected "]}"'],
    ['{"a":[1}', 'at column 8: unexpected "}"'],
    ['{"a":1]', 'at column 7: unexpected "]"'],
    ['{"a":[,1]}', 'at column 7: unexpected ",1]}"'],
    ['{,}', 'at column 2: unexpected ",}"'],
    ['{"a"::1}', 'at column 6: unexpected ":1}"'],
    ['{"a":{"b":[{}, []]}} x', 'at column 22: unexpected "x"'],
    ['{"a":01}', 'at column 7: unexpected "1}"'],
    ['{"a":-}', 'at column 6: unexpected "-}"'],
    ['{"a":tru}', 'at column 6: unexpected "tru}"'],
    ['{"a":True}', 'at column 6: unexpected "True}"'],
    ['{"a":"b\nc"}', String.raw`at column 6: unexpected "\"b\nc\"}"`],
    ['{"a":"\\x"}', String.raw`at column 6: unexpected "\"\\x\"}"`],
    ['{"a":1,\n  "b": nope\n}', String.raw`at line 2, column 8: unexpected "nope\n}"`],
    [`{"a":${'z'.repeat(100)}}`, `at column 6: unexpected "${'z'.repeat(27)}..."`],
  ];
  for (const [text, found] of cases) {
    assert.throws(() => JSON.parse(text), SyntaxError, `a case that tests nothing: ${text}`);
    assert.equal(describeJsonFault(text), found, text);
  }
});

test('what is well-formed is passed over', () => {
  const text = '{"a":[{},[],[1,-2.5e+3,0],{"b":null,"c":true,"d":false}],"\\u00e9\\n":"x"} \t\r\n';
  JSON.parse(text);
  assert.equal(findJsonFault(text), text.length);
});

test('deep nesting does not exhaust the stack', () => {
  assert.equal(findJsonFault('['.repeat(1_000_000)), 1_000_000);
});
