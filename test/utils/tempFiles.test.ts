import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { identityOf, readWhole } from '../../utils/files.js';
import { writeTemp } from '../../utils/tempFiles.js';
import { onFsCall } from '../db/stores/file/fsCalls.js';
import { tempStore } from '../helpers/tempStore.js';

test('it writes beside the file, for the owner alone, and knows what it wrote', (t) => {
  const path = join(tempStore(), 'queue.json');
  const umask = process.umask(0);
  t.after(() => process.umask(umask));
  fs.writeFileSync(path, 'old', { mode: 0o666 });
  const temp = writeTemp(path, Buffer.from('new'));
  assert.equal(fs.readFileSync(path, 'utf8'), 'old');
  assert.equal(fs.readFileSync(temp.path, 'utf8'), 'new');
  assert.equal(fs.statSync(temp.path).mode & 0o777, 0o600);
  fs.renameSync(temp.path, path);
  assert.deepEqual(identityOf(path), temp.identity);
  assert.deepEqual(readWhole(path), { content: Buffer.from('new'), identity: temp.identity });
});

test('it leaves nothing behind when the disk is full, be it told so or not', () => {
  const dir = tempStore();
  const { writeSync } = fs;
  const full = { code: 'STORAGE', fact: `cannot write ${dir}/queue.json: no space left on device` };
  const behaviours = [
    () => {
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    },
    (args: readonly unknown[]) => {
      const [fd, bytes] = args;
      assert.ok(typeof fd === 'number' && Buffer.isBuffer(bytes));
      return { result: writeSync(fd, bytes, 0, bytes.length - 1) };
    },
  ];
  for (const behave of behaviours) {
    const end = onFsCall(({ name, args }) => (name === 'writeSync' ? behave(args) : undefined));
    try {
      assert.throws(() => writeTemp(`${dir}/queue.json`, Buffer.from('content')), full);
    } finally {
      end();
    }
    assert.deepEqual(fs.readdirSync(dir), []);
  }
});
