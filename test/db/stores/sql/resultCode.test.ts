import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { isBusy, resultCode, sqliteError } from '../../../../db/stores/sql/resultCode.js';
import { QueuectlError } from '../../../../utils/errors.js';
import { tempDatabase } from './support.js';

/** As node:sqlite throws it, with the extended code. */
const ofNode = (errcode: number) =>
  Object.assign(new Error('as the driver has it'), { code: 'ERR_SQLITE_ERROR', errcode });
/** As better-sqlite3 throws it. */
const ofPackage = (code: string) => Object.assign(new Error('as the driver has it'), { code });

const CASES: [number, string, code: string, words: RegExp][] = [
  [13, 'SQLITE_FULL', 'STORAGE', /^cannot write .*queue\.db: no space left on device\. Make room and try again\.$/],
  [
    778,
    'SQLITE_IOERR_WRITE',
    'STORAGE',
    /^cannot use .*queue\.db: input\/output error\. Check the disk, and make room\.$/,
  ],
  [14, 'SQLITE_CANTOPEN', 'STORAGE', /^cannot write .*queue\.db\. Check who owns it and the directory it is in\.$/],
  [1032, 'SQLITE_READONLY_DBMOVED', 'STORAGE', /^cannot write .*queue\.db\. Check who owns it/],
  [11, 'SQLITE_CORRUPT', 'DAMAGED', /^.*queue\.db is damaged: .* pages\. `queuectl doctor` tells more/],
  [267, 'SQLITE_CORRUPT_VTAB', 'DAMAGED', /^.*queue\.db is damaged/],
  [26, 'SQLITE_NOTADB', 'DAMAGED', /^.*queue\.db is no SQLite database\. Name another file with --store/],
  [3, 'SQLITE_PERM', 'STORAGE', /^cannot write .*queue\.db\. Check who owns it/],
  [18, 'SQLITE_TOOBIG', 'STORAGE', /^cannot use .*queue\.db: as the driver has it\. `queuectl doctor` tells more\.$/],
];
for (const [number, name, code, words] of CASES) {
  test(`${name} is put into words`, () => {
    const path = tempDatabase();
    fs.writeFileSync(path, '');
    for (const error of [ofNode(number), ofPackage(name)]) {
      const translated = sqliteError(error, path);
      assert.ok(translated instanceof QueuectlError);
      assert.equal(translated.code, code);
      assert.match(translated.message, words);
    }
  });
}

test('what the system says of the file goes before what SQLite says', () => {
  const path = tempDatabase();
  const error = sqliteError(ofNode(14), path);
  assert.ok(error instanceof QueuectlError);
  assert.equal(error.fact, `cannot use ${path}: no such file or directory`);
});

for (const end of ['-wal', '-shm']) {
  test(`what the system says of the file that ends in ${end} goes before what SQLite says`, () => {
    const path = tempDatabase();
    fs.writeFileSync(path, '');
    fs.mkdirSync(path + end);
    const error = sqliteError(ofNode(14), path);
    assert.ok(error instanceof QueuectlError);
    assert.equal(error.fact, `cannot use ${path}${end}: is a directory`);
  });
}

test('who is in the way is told by every code for it', () => {
  for (const error of [
    ofNode(5),
    ofNode(261),
    ofNode(517),
    ofNode(6),
    ofPackage('SQLITE_BUSY'),
    ofPackage('SQLITE_BUSY_SNAPSHOT'),
  ]) {
    assert.ok(isBusy(error), error.code);
  }
  for (const error of [ofNode(10), ofPackage('SQLITE_BUSYBODY'), ofPackage('EBUSY'), new Error('SQLITE_BUSY'), 5]) {
    assert.ok(!isBusy(error));
  }
});

test('other errors are none of SQLite’s', () => {
  for (const error of [new Error('no'), ofPackage('ENOENT'), 'SQLITE_FULL', undefined]) {
    assert.equal(resultCode(error), undefined);
  }
  const plain = new Error('no');
  assert.equal(sqliteError(plain, '/x'), plain);
});
