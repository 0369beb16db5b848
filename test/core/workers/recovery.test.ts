import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { after, describe, test } from 'node:test';
import { QueueManager } from '../../../core/queueManager.js';
import { writeGroupNote } from '../../../core/run/groupNote.js';
import { groupExists } from '../../../core/run/processGroup.js';
import { recoverLost } from '../../../core/workers/recovery.js';
import { openFileStore } from '../../../db/index.js';
import type { WorkerRecord } from '../../../db/model/worker.js';
import type { Store } from '../../../db/store.js';
import { currentIdentity, startTimeOf } from '../../../utils/processIdentity.js';
import { T0 } from '../../helpers/jobFactory.js';
import { tempStore } from '../../helpers/tempStore.js';
import { waitFor } from '../../helpers/waitFor.js';

const LIVING: WorkerRecord = { ...currentIdentity(), id: 'w1', role: 'worker', started_at: T0, supervisor_id: 's1' };
/** The pid belongs to somebody else by now. */
const DEAD: WorkerRecord = { ...LIVING, id: 'w2', start_time: '1' };

function openQueue() {
  const clock = { now: T0 };
  const store = openFileStore(tempStore());
  return { queue: new QueueManager(store, () => clock.now), store, clock };
}

/** Enqueues a job and has a worker claim it. */
async function claimed(queue: QueueManager, id: string, workerId: string): Promise<void> {
  await queue.enqueue({ id, command: 'true', max_retries: 1 });
  assert.equal((await queue.getNextJob(workerId))?.id, id);
}

/** Starts a command like a worker's: the leader of its own process group. */
function startCommand(): { pid: number; child: ChildProcess } {
  const child = spawn('/bin/sh', ['-c', 'sleep 60 & sleep 60'], { detached: true, stdio: 'ignore' });
  const pid = child.pid ?? 0;
  after(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGKILL');
  });
  return { pid, child };
}

function noteGroup(store: Store, workerId: string, pid: number, startTime = startTimeOf(pid) ?? ''): void {
  writeGroupNote(store.workers.groupNote(workerId, 1), { pgid: pid, startTime });
}

const states = async (store: Store) =>
  (await store.jobs.listJobs()).map(({ id, state, attempts, last_error }) => [id, state, attempts, last_error]);

describe('recoverLost', () => {
  test('takes back the jobs of workers that are dead or unknown, and of no other', async () => {
    const { queue, store } = openQueue();
    await store.workers.register(LIVING);
    await store.workers.register(DEAD);
    await claimed(queue, 'held', 'w1');
    await claimed(queue, 'dropped', 'w2');
    await claimed(queue, 'orphan', 'w3');
    assert.deepEqual(
      (await recoverLost(store, queue)).map(({ id }) => id),
      ['dropped', 'orphan'],
    );
    assert.deepEqual(await states(store), [
      ['held', 'processing', 1, null],
      ['dropped', 'failed', 1, 'its worker died'],
      ['orphan', 'failed', 1, 'its worker died'],
    ]);
    assert.deepEqual(await store.workers.listRecords(), [LIVING]);
    assert.deepEqual(await recoverLost(store, queue), []);
  });

  test('buries a job whose attempts are used up', async () => {
    const { queue, store, clock } = openQueue();
    await claimed(queue, 'poison', 'w2');
    await recoverLost(store, queue);
    clock.now += 2000;
    assert.equal((await queue.getNextJob('w3'))?.attempts, 2);
    await recoverLost(store, queue);
    assert.deepEqual(await queue.list(), []);
    assert.deepEqual(
      (await queue.listDLQ()).map(({ attempts, error }) => [attempts, error]),
      [[2, 'its worker died']],
    );
  });

  test('takes each job back once when several do it at the same time', async () => {
    const { queue, store } = openQueue();
    await store.workers.register(DEAD);
    for (const id of ['a', 'b', 'c']) await claimed(queue, id, 'w2');
    const recovered = (await Promise.all([1, 2, 3].map(() => recoverLost(store, queue)))).flat();
    assert.deepEqual(recovered.map(({ id }) => id).sort(), ['a', 'b', 'c']);
    assert.deepEqual(
      (await states(store)).map(([, , attempts]) => attempts),
      [1, 1, 1],
    );
  });

  const recordOf = (store: Store, id: string) => store.workers.groupNote(id, 1).replace(/1$/, 'json');
  const records: [how: string, change: (path: string) => void][] = [
    ['is on record', () => {}],
    ['has a record that cannot be read', (path) => fs.writeFileSync(path, '{')],
    ['has no record any more', (path) => fs.rmSync(path)],
  ];
  for (const [how, change] of records) {
    test(`ends the whole command of a dead worker that ${how} before its job is given back`, async () => {
      const { queue, store } = openQueue();
      const id = `${2 ** 22 + 1}-w2`; // a pid that no process has
      await store.workers.register({ ...DEAD, id });
      await claimed(queue, 'a', id);
      const { pid, child } = startCommand();
      noteGroup(store, id, pid);
      change(recordOf(store, id));
      const couldRunTwice: boolean[] = [];
      const watching = new QueueManager(store, () => {
        couldRunTwice.push(groupExists(pid));
        return T0;
      });
      await recoverLost(store, watching);
      assert.deepEqual(couldRunTwice, [false]);
      await waitFor(() => child.signalCode !== null);
    });
  }

  test('takes a dead worker off the record before it looks for its commands, so that none begins behind its back', async (t) => {
    const { queue, store } = openQueue();
    await store.workers.register(DEAD);
    await claimed(queue, 'a', DEAD.id);
    const wereOnRecord: boolean[] = [];
    const { workers } = store;
    const listGroups = workers.listGroups.bind(workers);
    t.mock.method(workers, 'listGroups', (id: string) => {
      wereOnRecord.push(fs.existsSync(workers.recordFile(id)));
      return listGroups(id);
    });
    await recoverLost(store, queue);
    assert.deepEqual(wereOnRecord, [false]);
  });

  for (const [who, record, startTime] of [
    ['a later process with the same pid', DEAD, '1'],
    ['a process of this boot, noted in another', { ...DEAD, boot_id: 'another' }, undefined],
    ['the command of a living worker', LIVING, undefined],
  ] as const) {
    test(`leaves alone ${who}`, async () => {
      const { queue, store } = openQueue();
      await store.workers.register(record);
      await claimed(queue, 'a', record.id);
      const { pid, child } = startCommand();
      noteGroup(store, record.id, pid, startTime);
      await recoverLost(store, queue);
      assert.equal(child.signalCode, null);
      assert.equal(process.kill(-pid, 0), true);
    });
  }
});
