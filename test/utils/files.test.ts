import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { identityOf, parseJsonFile, readWhole, removeFile, removeTempFiles, sameIdentity } from '../../utils/files.js';
import { onFsCall } from '../db/stores/file/fsCalls.js';
import { tempStore } from '../helpers/tempStore.js';

const error = (code: string) => Object.assign(new Error(code), { code });

test('removeTempFiles removes what interrupted replacements left and nothing else', () => {
  const dir = tempStore();
  const kept = [
    'queue.json',
    'journal.ndjson',
    'notes.tmp',
    'queue.json.bak',
    'queue.json.1.tmp',
    '7-1.tmp.txt',
    'notes.4711-3.tmp',
  ];
  for (const name of [...kept, 'queue.json.4711-3.tmp', 'dlq.json.4711-12.tmp.2887615331']) {
    fs.writeFileSync(join(dir, name), '');
  }
  removeTempFiles(['queue.json', 'dlq.json'].map((name) => join(dir, name)));
  assert.deepEqual(fs.readdirSync(dir).sort(), kept.sort());
  removeFile(join(dir, 'not there'));
});

test('what is not there is null; what cannot be read is an error', () => {
  const dir = tempStore();
  assert.equal(readWhole(join(dir, 'queue.json')), null);
  assert.equal(identityOf(join(dir, 'queue.json')), null);
  assert.throws(() => readWhole(dir), { code: 'STORAGE', fact: `cannot read ${dir}: is a directory` });
  const end = onFsCall(({ name }) => {
    if (name === 'openSync') throw error('EACCES');
    return undefined;
  });
  try {
    const path = join(dir, 'queue.json');
    assert.throws(() => readWhole(path), { code: 'STORAGE', fact: `cannot read ${path}: permission denied` });
  } finally {
    end();
  }
});

test('a file has another identity when it was replaced, edited in place, or only touched', () => {
  const path = join(tempStore(), 'queue.json');
  const ways: (() => void)[] = [
    () => fs.writeFileSync(path, 'one'),
    () => fs.appendFileSync(path, 'more'),
    () => fs.utimesSync(path, 1, 1),
    () => fs.cpSync(path, `${path}.copy`, { preserveTimestamps: true }),
  ];
  let before = identityOf(path);
  for (const change of ways) {
    change();
    if (fs.existsSync(`${path}.copy`)) fs.renameSync(`${path}.copy`, path);
    const now = identityOf(path);
    assert.equal(sameIdentity(before, now), false);
    assert.equal(sameIdentity(now, identityOf(path)), true);
    before = now;
  }
});

const FAULTS: [content: string | Buffer, fault: string][] = [
  ['', 'it is not JSON (line 1, column 1)'],
  ['[\n{"id":"a"},\n{"id":', 'it is not JSON (line 3, column 7)'],
  ['[\n{"id":"a"},\n{"id" 7}\n]\n', 'it is not JSON (line 3, column 7)'],
  [Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]), 'it is not UTF-8'],
];
for (const [content, fault] of FAULTS) {
  test(`a JSON file of ${JSON.stringify(content)} is damaged: ${fault}`, () => {
    assert.throws(() => parseJsonFile('/store/queue.json', Buffer.from(content)), {
      code: 'DAMAGED',
      fact: `/store/queue.json is damaged: ${fault}`,
    });
  });
}

test('a file that is not JSON is refused with the place of its first fault, on every version of Node', () => {
  assert.throws(() => parseJsonFile('/q.json', Buffer.from('[\n{"a":1},\n{"a":x}\n]\n')), /line 3, column 6/);
});
