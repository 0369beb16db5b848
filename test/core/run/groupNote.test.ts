import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { clearGroupNote, readGroupNote, writeGroupNote } from '../../../core/run/groupNote.js';
import { onFsCall } from '../../db/stores/file/fsCalls.js';
import { tempStore } from '../../helpers/tempStore.js';

const newNote = () => join(tempStore(), 'note');

test('a note tells the group written last, or none once it is cleared', () => {
  const path = newNote();
  for (const startTime of ['123456789', 'Sun Nov 22 07:25:43 2026', '', '7']) {
    writeGroupNote(path, { pgid: 4711, startTime });
    assert.deepEqual(readGroupNote(path), { pgid: 4711, startTime });
    assert.equal(fs.statSync(path).mode & 0o777, 0o600);
    clearGroupNote(path);
    assert.equal(readGroupNote(path), undefined);
  }
});

test('what is not written whole notes nothing, and is an error', () => {
  const path = newNote();
  const end = onFsCall(({ name, args }) => {
    if (name !== 'writeSync') return undefined;
    end();
    return { result: fs.writeSync(Number(args[0]), '4711 12') };
  });
  assert.throws(() => writeGroupNote(path, { pgid: 4711, startTime: '123' }), { code: 'ENOSPC' });
  assert.equal(readGroupNote(path), undefined);
  writeGroupNote(path, { pgid: 4712, startTime: '' });
  assert.deepEqual(readGroupNote(path), { pgid: 4712, startTime: '' });
});

test('clearing a note that is gone does nothing', () => {
  const path = newNote();
  clearGroupNote(path);
  assert.equal(fs.existsSync(path), false);
});
