import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { clearGroupNote, openGroupNote, readGroupNote } from '../../../core/run/groupNote.js';
import { onFsCall } from '../../db/stores/file/fsCalls.js';
import { writeGroupNote } from '../../helpers/groupNote.js';
import { tempStore } from '../../helpers/tempStore.js';

const newNote = () => join(tempStore(), 'note');

test('a note tells the group written last, or none once it is cleared', () => {
  const path = newNote();
  for (const startTime of ['123456789', 'Sun Nov 22 07:25:43 2026', '', '7']) {
    writeGroupNote(path, { pgid: 4711, startTime });
    assert.deepEqual(readGroupNote(path), { pgid: 4711, startTime });
    clearGroupNote(path);
    assert.equal(readGroupNote(path), undefined);
  }
});

test('a note is opened blank, and where the group is to be written', () => {
  const path = newNote();
  for (const text of ['4711 123456789', '4712', '7 Sun Nov 22 07:25:43 2026']) {
    const fd = openGroupNote(path);
    assert.equal(fs.readFileSync(path, 'latin1'), `${' '.repeat(47)}\n`);
    assert.equal(readGroupNote(path), undefined);
    fs.writeSync(fd, text);
    fs.closeSync(fd);
    const [pgid = '', ...startTime] = text.split(' ');
    assert.deepEqual(readGroupNote(path), { pgid: Number(pgid), startTime: startTime.join(' ') });
    assert.equal(fs.statSync(path).size, 48);
    assert.equal(fs.statSync(path).mode & 0o777, 0o600);
  }
});

test('a note that cannot be blanked is not opened', () => {
  const path = newNote();
  const opened: number[] = [];
  const end = onFsCall(({ name, args }) => {
    if (name === 'writeSync') return { result: 7 };
    if (name === 'closeSync') opened.push(Number(args[0]));
    return undefined;
  });
  try {
    assert.throws(() => openGroupNote(path), { code: 'ENOSPC' });
  } finally {
    end();
  }
  assert.equal(opened.length, 1, 'it is closed again');
});

const PLACED: readonly [what: string, put: (path: string) => void][] = [
  ['a link', (path) => fs.symlinkSync(`${path}.victim`, path)],
  ['a FIFO', (path) => void execFileSync('mkfifo', [path])],
];
for (const [what, put] of PLACED) {
  test(`${what} in the place of a note tells no group, cannot be cleared, and makes room for one`, () => {
    const path = newNote();
    fs.writeFileSync(`${path}.victim`, 'untouched');
    put(path);
    assert.equal(readGroupNote(path), undefined);
    clearGroupNote(path);
    fs.closeSync(openGroupNote(path));
    assert.ok(fs.lstatSync(path).isFile());
    assert.equal(fs.readFileSync(`${path}.victim`, 'utf8'), 'untouched');
  });
}

test('a directory in the place of a note tells no group, and stays', () => {
  const path = newNote();
  fs.mkdirSync(path);
  assert.equal(readGroupNote(path), undefined);
  clearGroupNote(path);
  assert.throws(() => openGroupNote(path), { code: 'EISDIR' });
});

test('clearing a note that is gone does nothing', () => {
  const path = newNote();
  clearGroupNote(path);
  assert.equal(fs.existsSync(path), false);
});
