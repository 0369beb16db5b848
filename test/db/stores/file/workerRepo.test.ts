import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { clearGroupNote, writeGroupNote } from '../../../../core/run/groupNote.js';
import type { WorkerRecord } from '../../../../db/model/worker.js';
import { FileWorkerRepo } from '../../../../db/repositories/workerRepo.js';
import { T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { onFsCall } from './fsCalls.js';

const record = (id: string): WorkerRecord => {
  return { id, role: 'worker', pid: 7, start_time: '1', boot_id: 'boot', started_at: T0, supervisor_id: 's1' };
};

function newRepo(): { repo: FileWorkerRepo; directory: string } {
  const directory = join(tempStore(), 'workers');
  return { repo: new FileWorkerRepo(directory), directory };
}

test('the groups of a worker are those noted for it and for no other, and go with it', async () => {
  const { repo, directory } = newRepo();
  assert.deepEqual(await repo.listGroups('w1'), []);
  for (const id of ['w1', 'w10']) await repo.register(record(id));
  writeGroupNote(repo.groupNote('w1', 1), { pgid: 4711, startTime: '12345' });
  writeGroupNote(repo.groupNote('w1', 2), { pgid: 4712, startTime: '' });
  writeGroupNote(repo.groupNote('w1', 3), { pgid: 4714, startTime: '' });
  clearGroupNote(repo.groupNote('w1', 3));
  writeGroupNote(repo.groupNote('w10', 1), { pgid: 4713, startTime: '1' });
  fs.writeFileSync(join(directory, 'w1.json.7-1.tmp'), '{');
  const byPgid = (a: { pgid: number }, b: { pgid: number }) => a.pgid - b.pgid;
  assert.deepEqual((await repo.listGroups('w1')).sort(byPgid), [
    { pgid: 4711, startTime: '12345' },
    { pgid: 4712, startTime: '' },
  ]);
  assert.deepEqual((await repo.listRecords()).map(({ id }) => id).sort(), ['w1', 'w10']);
  await repo.unregister('w1');
  assert.deepEqual(await repo.listGroups('w1'), []);
  assert.deepEqual(await repo.listGroups('w10'), [{ pgid: 4713, startTime: '1' }]);
  assert.deepEqual(fs.readdirSync(directory).sort(), ['w1.json.7-1.tmp', 'w10.1', 'w10.json']);
});

test('a record that goes while the directory is read is not listed', async () => {
  const { repo, directory } = newRepo();
  await repo.register(record('w1'));
  const end = onFsCall(({ name }) => {
    if (name === 'openSync') fs.rmSync(join(directory, 'w1.json'), { force: true });
    return undefined;
  });
  try {
    assert.deepEqual(await repo.listRecords(), []);
  } finally {
    end();
  }
});

for (const content of ['', '{"id":"w1"', '[]', 'null', '{}', JSON.stringify({ ...record('w1'), pid: '7' })]) {
  test(`a record that reads ${content || 'nothing'} is told of apart from those that can be read`, async () => {
    const { repo, directory } = newRepo();
    for (const id of ['w1', 'w2', `${process.pid}-w3`]) await repo.register(record(id));
    for (const name of ['w1.json', `${process.pid}-w3.json`]) fs.writeFileSync(join(directory, name), content);
    assert.deepEqual(await repo.listRecords(), [record('w2')]);
    const { unreadable } = await repo.survey();
    assert.deepEqual(
      unreadable.map(({ id, mayLive }) => ({ id, mayLive })).sort((a, b) => Number(a.mayLive) - Number(b.mayLive)),
      [
        { id: 'w1', mayLive: false },
        { id: `${process.pid}-w3`, mayLive: true },
      ],
    );
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
  assert.deepEqual(await repo.listRecords(), [newer]);
});
