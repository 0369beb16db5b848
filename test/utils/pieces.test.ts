import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cut, joinLines, lengthOf, parseElements, readPieces } from '../../utils/pieces.js';
import { tempStore } from '../helpers/tempStore.js';

function readBack(content: string, pieceBytes: number, from = 0, to = Buffer.byteLength(content)): string[] {
  const path = join(tempStore(), 'file');
  fs.writeFileSync(path, content);
  const fd = fs.openSync(path, 'r');
  try {
    return Array.from(readPieces(fd, from, to, pieceBytes), String);
  } finally {
    fs.closeSync(fd);
  }
}

const LINES = Array.from({ length: 40 }, (_, at) => `${'é'.repeat(at % 7)}${at}\n`);

for (const pieceBytes of [1, 2, 5, 20, 50, 1000]) {
  test(`what is read and cut in pieces of ${pieceBytes} bytes is the whole, and no line is in two`, () => {
    for (const content of [LINES.join(''), `${LINES.join('')}torn`, 'no line', '\n', '']) {
      for (const pieces of [readBack(content, pieceBytes), Array.from(cut(Buffer.from(content), pieceBytes), String)]) {
        assert.equal(pieces.join(''), content);
        for (const piece of pieces.slice(0, -1)) assert.ok(piece.endsWith('\n'), JSON.stringify(piece));
        if (pieceBytes < 20 && content.length > 100) assert.ok(pieces.length > 5);
      }
    }
  });
}

test('a range is read, and what is there of one that is longer', () => {
  assert.deepEqual(readBack('ab\ncd\nef\n', 3, 3, 6), ['cd\n']);
  assert.equal(readBack('ab\ncd\n', 3, 0, 100).join(''), 'ab\ncd\n');
});

test('the last piece is no short one, so that it has the last line of a file and what is before it', () => {
  const pieces = readBack(`${'a\n'.repeat(10)}]\n`, 20);
  assert.deepEqual(pieces, [`${'a\n'.repeat(10)}]\n`]);
});

test('lines are put together in pieces, and it is told', () => {
  const line = 'x'.repeat(1_000_000);
  let told = 0;
  const pieces = joinLines(Array(40).fill(line), ['[\n', ',\n', '\n]\n'], () => {
    told += 1;
  });
  assert.equal(lengthOf(pieces), 40 * (line.length + 2) + 3);
  assert.equal(Buffer.concat(pieces).toString(), `[\n${Array(40).fill(line).join(',\n')}\n]\n`);
  assert.ok(pieces.length > 2 && told === pieces.length);
  for (const piece of pieces) assert.equal(piece.at(-1), 0x0a);
  assert.deepEqual(joinLines(['a'], ['<', '\n', '>']).map(String), ['<a>']);
});

const value = (pieces: readonly string[]) => parseElements(pieces.map((piece) => Buffer.from(piece)));

test('elements are read in pieces', () => {
  assert.deepEqual(value(['[\n{"a":1},\n', '{"a":2},\n[3],\n', '"[,]",\n', '4\n]\n']), [
    { a: 1 },
    { a: 2 },
    [3],
    '[,]',
    4,
  ]);
  assert.deepEqual(value([' [1 , \n', ' 2 ] \n']), [1, 2]);
});

for (const [what, pieces] of [
  ['an array in an array', ['[[1,\n', '2],[3,\n', '4]]\n']],
  ['an object over two pieces', ['[{"a":1,\n', '"b":2}]\n']],
  ['no comma between', ['[1\n', ',2]\n']],
  ['a comma too many', ['[1,\n', ',2]\n']],
  ['an end too early', ['[1],\n', '2]\n']],
  ['no beginning', ['1,\n', '2]\n']],
  ['no end', ['[1,\n', '2\n']],
  ['an object', ['{"a":1,\n', '"b":2}\n']],
] as const) {
  test(`${what} is not read so`, () => {
    assert.equal(value(pieces), undefined);
  });
}

test('nor is what is not UTF-8', () => {
  assert.equal(parseElements([Buffer.from('["a",\n'), Buffer.from([0x22, 0xff, 0x22, 0x5d])]), undefined);
});
