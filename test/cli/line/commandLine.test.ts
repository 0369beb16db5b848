import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCommandLine, readOptions } from '../../../cli/line/commandLine.js';
import { ALL_FLAGS, FLAGS, GLOBAL_FLAGS } from '../../../cli/line/flags.js';

const read = (...args: string[]) => readCommandLine(args, ALL_FLAGS);

test('words stay as they were typed', () => {
  const cases: [args: string[], words: string[], literal?: number][] = [
    [
      ['enqueue', '-'],
      ['enqueue', '-'],
    ],
    [
      ['enqueue', '--json', 'true'],
      ['enqueue', 'true'],
    ],
    [
      ['enqueue', 'help'],
      ['enqueue', 'help'],
    ],
    [
      ['enqueue', ''],
      ['enqueue', ''],
    ],
    [
      ['dlq-retry', '007'],
      ['dlq-retry', '007'],
    ],
    [
      ['dlq-retry', '1e3'],
      ['dlq-retry', '1e3'],
    ],
    [
      ['enqueue', `'a' "b"`],
      ['enqueue', `'a' "b"`],
    ],
    [
      ['config-set', 'max_retries', '-1'],
      ['config-set', 'max_retries', '-1'],
    ],
    [
      ['--data-dir', 'd', 'worker', '--json', 'start'],
      ['worker', 'start'],
    ],
    [['enqueue', '--', '--help', '-x'], ['enqueue', '--help', '-x'], 2],
    [['enqueue', '--', '-', '--', '', '007'], ['enqueue', '-', '--', '', '007'], 4],
    [['enqueue', '--id', '--', 'a'], ['enqueue', 'a'], 1],
    [['enqueue', 'a', '--'], ['enqueue', 'a'], 0],
  ];
  for (const [args, words, literal = 0] of cases) {
    const found = read(...args);
    assert.deepEqual([found.words, found.literal], [words, literal], args.join(' '));
  }
});

test('a flag with a value is text, until it is read', () => {
  assert.equal(read('--max-retries', '3').given.get('max-retries'), '3');
  assert.equal(read('--max-retries=-1').given.get('max-retries'), '-1');
  assert.equal(read('--max-retries', '-1').given.get('max-retries'), '-1');
  assert.equal(read('--id', '007').given.get('id'), '007');
  assert.equal(read('--file', '-').given.get('file'), '-');
  assert.deepEqual([...read().given], []);
  assert.deepEqual([...read('-h').given], [['help', true]]);
  assert.deepEqual([...read('-v').given], [['version', true]]);
});

test('a command gets the values of its flags', () => {
  const options = readOptions(
    read('--count=3', '--json', '-h', '--delay', '.5'),
    [FLAGS.count, FLAGS.delay, ...GLOBAL_FLAGS],
    '',
  );
  const typed: { count?: number | undefined; delay?: number | undefined; json?: true | undefined } = options;
  assert.deepEqual(typed, { count: 3, delay: 0.5, json: true, help: true });
});

test('what yargs would let pass is refused', () => {
  const accepted = [FLAGS.id, FLAGS.count, ...GLOBAL_FLAGS];
  const check = (args: string[]) => () => readOptions(read(...args), accepted, 'queuectl x --help');
  check(['a', '--data-dir', 'd', '--id', 'x', '--count=3', '--json', '-h', '--', '--json=1'])();
  assert.throws(check(['--cuont', '3']), /unknown flag --cuont\. Did you mean --count\?/);
  assert.throws(check(['--state', 'failed']), /unknown flag --state\./);
  assert.throws(check(['--no-json']), /unknown flag --no-json/);
  assert.throws(check(['--id.x', '3']), /unknown flag --id\.x/);
  assert.throws(check(['-x']), /unknown flag -x\. See `queuectl x --help`\.$/);
  assert.throws(check(['--__proto__', 'x']), /unknown flag/);
  assert.throws(check(['--id', 'x', '--id', 'y']), /--id is given more than once/);
  assert.throws(check(['--id']), /--id needs a value/);
  assert.throws(check(['--id', '--json']), /--id needs a value/);
  assert.throws(check(['--data-dir=']), /--data-dir needs a value/);
  assert.throws(check(['--json=maybe']), /--json takes no value/);
  assert.throws(check(['--count', 'x']), /--count must be an integer/);
});
