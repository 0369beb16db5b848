import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { WorkerRecord } from '../../../../db/model/worker.js';
import { WorkerFiles } from '../../../../db/stores/file/workerFiles.js';
import { T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { onFsCall } from './fsCalls.js';

const record = (id: string): WorkerRecord => {
  return { id, role: 'worker', pid: 7, start_time: '1', boot_id: 'boot', started_at: T0, supervisor_id: 's1' };
};

const known = ({ heard_of: _, ...rest }: WorkerRecord) => rest;

function newRepo(): { repo: WorkerFiles; directory: string } {
  const directory = join(tempStore(), 'workers');
  return { repo: new WorkerFiles(directory), directory };
}

test('a record that goes while the directory is read is not listed', async () => {
  const { repo, directory } = newRepo();
  await repo.register(record('w1'));
  const end = onFsCall(({ name }) => {
    if (name === 'openSync') fs.rmSync(join(directory, 'w1.json'), { force: true });
    return undefined;
  });
  try {
    assert.deepEqual(await repo.list(), { records: [], unreadable: [] });
  } finally {
    end();
  }
});

test('what is left of one that was killed while it registered is removed, and of no other', async (t) => {
  const { repo, directory } = newRepo();
  await repo.register(record('w1'));
  const [left, live] = [2 ** 30, process.pid].map((pid) => `w2.json.${pid}-0123abcd.tmp`) as [string, string];
  for (const name of [left, live, 'notes.tmp']) fs.writeFileSync(join(directory, name), '{"id":');
  await repo.list();
  assert.ok(fs.existsSync(join(directory, left)), 'it may be of one who cannot be seen, and works on it');
  const now = Date.now() + 3000;
  t.mock.method(Date, 'now', () => now);
  assert.deepEqual((await repo.list()).records.map(known), [record('w1')]);
  assert.deepEqual(fs.readdirSync(directory).sort(), ['notes.tmp', 'w1.json', live].sort());
});

for (const content of ['', '{"id":"w1"', '[]', 'null', '{}', JSON.stringify({ ...record('w1'), pid: '7' })]) {
  test(`a record that reads ${content || 'nothing'} is told of apart from those that can be read`, async () => {
    const { repo, directory } = newRepo();
    for (const id of ['w1', 'w2', `${process.pid}-w3`]) await repo.register(record(id));
    for (const name of ['w1.json', `${process.pid}-w3.json`]) fs.writeFileSync(join(directory, name), content);
    const { records, unreadable } = await repo.list();
    assert.deepEqual(records.map(known), [record('w2')]);
    assert.deepEqual(unreadable.map(({ id }) => id).sort(), [`${process.pid}-w3`, 'w1'].sort());
    for (const { path, fault } of unreadable) {
      assert.equal(fault.code, 'DAMAGED');
      assert.ok(fault.fact.startsWith(`${path} is damaged: it is no`), fault.fact);
    }
  });
}

test('a record of a newer version is understood', async () => {
  const { repo, directory } = newRepo();
  await repo.register(record('w1'));
  const newer = { ...record('w1'), colour: 'red' };
  fs.writeFileSync(join(directory, 'w1.json'), JSON.stringify(newer));
  assert.deepEqual((await repo.list()).records.map(known), [newer]);
});
