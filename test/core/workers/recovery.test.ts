import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { after, describe, test } from 'node:test';
import { QueueManager } from '../../../core/queueManager.js';
import { groupExists } from '../../../core/run/processGroup.js';
import { RunDirectory } from '../../../core/run/runDirectory.js';
import { isOfNoUse, recoverLost, surveyWorkers } from '../../../core/workers/recovery.js';
import type { WorkerRecord } from '../../../db/model/worker.js';
import type { Store } from '../../../db/store.js';
import { currentIdentity, here, namespaceIsGone, startTimeOf } from '../../../utils/processIdentity.js';
import { writeGroupNote } from '../../helpers/groupNote.js';
import { T0 } from '../../helpers/jobFactory.js';
import { tempStore } from '../../helpers/tempStore.js';
import { fileStore } from '../../helpers/testStore.js';
import { waitFor } from '../../helpers/waitFor.js';

const LIVING: WorkerRecord = { ...currentIdentity(), id: 'w1', role: 'worker', started_at: T0, supervisor_id: 's1' };
/** The pid belongs to somebody else by now. */
const DEAD: WorkerRecord = { ...LIVING, id: 'w2', start_time: '1' };

function openQueue() {
  const clock = { now: T0 };
  const dir = tempStore();
  const { store } = fileStore(dir, { clock: () => clock.now });
  const run = new RunDirectory(dir);
  const queue = new QueueManager(store);
  return { queue, store, run, clock, recover: () => recoverLost(store, queue, run) };
}

/** Puts a worker on record, and lets it start commands. */
async function enters(record: WorkerRecord, store: Store, run: RunDirectory): Promise<void> {
  await store.workers.register(record);
  run.enter(record.id);
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

function noteGroup(run: RunDirectory, workerId: string, pid: number, startTime = startTimeOf(pid) ?? ''): void {
  writeGroupNote(run.groupNote(workerId, 1), { pgid: pid, startTime });
}

/** A pid namespace that there is not: Linux gives out such numbers to no other file either. */
const ELSEWHERE = 'pid:[1]';

/** Has the dead worker have run in another container. */
function moveTo(pidNamespace: string, run: RunDirectory): void {
  const guard = run.guard(DEAD.id);
  fs.writeFileSync(guard, fs.readFileSync(guard, 'utf8').replace(/\S*\n/, `${pidNamespace}\n`));
}

const onRecord = async (store: Store) => (await store.workers.list()).records.map(({ id }) => id);

const states = async (queue: QueueManager) =>
  (await queue.list()).map(({ id, state, attempts, last_error }) => [id, state, attempts, last_error]);

describe('recoverLost', () => {
  test('takes back the jobs of workers that are dead or unknown, and of no other', async () => {
    const { queue, store, run, recover } = openQueue();
    await enters(LIVING, store, run);
    await enters(DEAD, store, run);
    await claimed(queue, 'held', 'w1');
    await claimed(queue, 'dropped', 'w2');
    await claimed(queue, 'orphan', 'w3');
    assert.deepEqual(
      (await recover()).map(({ id }) => id),
      ['dropped', 'orphan'],
    );
    assert.deepEqual(await states(queue), [
      ['held', 'processing', 1, null],
      ['dropped', 'failed', 1, 'its worker died'],
      ['orphan', 'failed', 1, 'its worker died'],
    ]);
    assert.deepEqual(await onRecord(store), [LIVING.id]);
    assert.deepEqual(run.workers(), [LIVING.id]);
    assert.deepEqual(await recover(), []);
  });

  test('buries a job whose attempts are used up', async () => {
    const { queue, clock, recover } = openQueue();
    await claimed(queue, 'poison', 'w2');
    await recover();
    clock.now += 2000;
    assert.equal((await queue.getNextJob('w3'))?.attempts, 2);
    await recover();
    assert.deepEqual(await queue.list(), []);
    assert.deepEqual(
      (await queue.listDLQ()).map(({ attempts, error }) => [attempts, error]),
      [[2, 'its worker died']],
    );
  });

  test('takes each job back once when several do it at the same time', async () => {
    const { queue, store, run, recover } = openQueue();
    await enters(DEAD, store, run);
    for (const id of ['a', 'b', 'c']) await claimed(queue, id, 'w2');
    const recovered = (await Promise.all([1, 2, 3].map(recover))).flat();
    assert.deepEqual(recovered.map(({ id }) => id).sort(), ['a', 'b', 'c']);
    assert.deepEqual(
      (await states(queue)).map(([, , attempts]) => attempts),
      [1, 1, 1],
    );
  });

  const traces: [who: string, change: (record: string, guard: string) => void][] = [
    ['is on record', () => {}],
    ['is on record, and of version 0.1.0, which knew no guards', (_, guard) => fs.rmSync(guard)],
    [
      'has no record any more, and a guard that does not say where it ran',
      (record, guard) => [fs.rmSync(record), fs.truncateSync(guard)],
    ],
    ['has a record that cannot be read', (record) => fs.writeFileSync(record, '{')],
    ['has no record any more', (record) => fs.rmSync(record)],
    ['has neither a record nor a guard any more', (record, guard) => [record, guard].map((path) => fs.rmSync(path))],
  ];
  for (const [who, change] of traces) {
    test(`ends the whole command of a dead worker that ${who} before its job is given back`, async () => {
      const { queue, store, run } = openQueue();
      const id = `${2 ** 22 + 1}-w2`; // a pid that no process has
      await enters({ ...DEAD, id }, store, run);
      await claimed(queue, 'a', id);
      const { pid, child } = startCommand();
      noteGroup(run, id, pid);
      change(`${run.path}/workers/${id}.json`, run.guard(id));
      const couldRunTwice: boolean[] = [];
      const watching = new QueueManager(store, () => {
        couldRunTwice.push(groupExists(pid));
        return T0;
      });
      await recoverLost(store, watching, run);
      assert.deepEqual(couldRunTwice, [false]);
      await waitFor(() => child.signalCode !== null);
      assert.deepEqual([await onRecord(store), run.workers()], [[], []]);
    });
  }

  test('removes the guard and the record of a dead worker before it looks for its commands, so that none begins behind its back', async (t) => {
    const { queue, store, run, recover } = openQueue();
    await enters(DEAD, store, run);
    await claimed(queue, 'a', DEAD.id);
    const found: unknown[] = [];
    const listGroups = run.listGroups.bind(run);
    t.mock.method(run, 'listGroups', (id: string) => {
      found.push([run.hasEntered(id), fs.existsSync(`${run.path}/workers/${id}.json`)]);
      return listGroups(id);
    });
    await recover();
    assert.deepEqual(found, [[false, false]]);
  });

  test('does not take a worker for dead that comes between the two things it looks at', async (t) => {
    const { store, run, recover } = openQueue();
    const list = store.workers.list.bind(store.workers);
    const workers = run.workers.bind(run);
    const looked: string[] = [];
    t.mock.method(run, 'workers', () => {
      looked.push('workers');
      return workers();
    });
    t.mock.method(store.workers, 'list', async () => {
      const before = looked.length === 0 ? await list() : undefined;
      await enters(LIVING, store, run);
      looked.push('list');
      return before ?? list();
    });
    await recover();
    assert.equal(looked.length, 2);
    assert.equal(run.hasEntered(LIVING.id), true);
    assert.deepEqual(await onRecord(store), [LIVING.id]);
  });

  test('leaves the commands of a worker that is silent on another host to that host', async () => {
    const { queue, store, run, recover } = openQueue();
    const path = `${run.path}/workers/w2.json`;
    await enters({ ...DEAD, boot_id: 'another', host: 'another' }, store, run);
    await claimed(queue, 'a', DEAD.id);
    const { pid, child } = startCommand();
    noteGroup(run, DEAD.id, pid);
    assert.deepEqual(await recover(), []);
    assert.equal(run.hasEntered(DEAD.id), true);
    const { records } = await store.workers.list();
    assert.ok(Math.abs((records[0]?.heard_of?.at ?? 0) - fs.statSync(path).ctimeMs) < 1);
    const { workers } = store;
    const silent = records.map((record) => ({ ...record, heard_of: { at: Date.now() - 60_000, monotonic: 0 } }));
    workers.list = async () => ({ records: silent, unreadable: [] });
    assert.deepEqual(
      (await recover()).map(({ id }) => id),
      ['a'],
    );
    assert.equal(run.hasEntered(DEAD.id), false);
    assert.equal(child.signalCode, null);
    assert.deepEqual(run.listGroups(DEAD.id), [{ pgid: pid, startTime: startTimeOf(pid) }], 'for who can end it');
  });

  for (const [what, isCondemned] of [
    ['its guard', false],
    ['nothing but its notes', true],
  ] as const) {
    test(`leaves the commands of a worker of another container alone, of which a crash has left ${what}`, async () => {
      const { queue, store, run, recover } = openQueue();
      await claimed(queue, 'a', DEAD.id);
      run.enter(DEAD.id);
      moveTo(ELSEWHERE, run);
      if (isCondemned) run.condemn(DEAD.id);
      const { pid, child } = startCommand();
      noteGroup(run, DEAD.id, pid);
      assert.deepEqual(
        (await recover()).map(({ id }) => id),
        ['a'],
      );
      assert.equal(run.hasEntered(DEAD.id), false);
      assert.deepEqual(await recover(), []);
      assert.deepEqual((await surveyWorkers(store.workers, run)).gone, [], 'all that can be done from here is done');
      assert.equal(process.kill(-pid, 0), true);
      assert.equal(child.signalCode, null);
      assert.equal(run.listGroups(DEAD.id).length, 1);
    });
  }

  test('what is left of a worker of another container is of use as long as that may live, and not where it ran itself', async () => {
    const { store, run, recover } = openQueue();
    run.enter(DEAD.id);
    moveTo(ELSEWHERE, run);
    await recover();
    const survey = async () => surveyWorkers(store.workers, run);
    assert.deepEqual((await survey()).elsewhere, [DEAD.id]);
    await store.workers.register({ ...LIVING, id: 'w9', pid_namespace: ELSEWHERE });
    assert.equal(isOfNoUse(DEAD.id, await survey(), run), false, 'somebody there gives signs of life');
    await store.workers.unregister('w9');
    assert.equal(isOfNoUse(DEAD.id, await survey(), run), namespaceIsGone(ELSEWHERE));
    run.enter('w8');
    run.condemn('w8');
    assert.equal(isOfNoUse('w8', await survey(), run), false, 'it ran here');
    const condemned = run.guard(DEAD.id).replace(/guard$/, 'condemned');
    fs.writeFileSync(
      condemned,
      fs.readFileSync(condemned, 'utf8').replace(here.boot_id, 'another').replace(here.host, 'x'),
    );
    assert.deepEqual((await survey()).elsewhere, [DEAD.id]);
    assert.equal(isOfNoUse(DEAD.id, await survey(), run), false, 'it may be another machine');
  });

  test('ends the commands of a worker of this place that another container has taken for dead', async () => {
    const { run, recover } = openQueue();
    run.enter(DEAD.id);
    const { pid, child } = startCommand();
    noteGroup(run, DEAD.id, pid);
    run.condemn(DEAD.id);
    await recover();
    await waitFor(() => child.signalCode !== null);
    assert.deepEqual(run.workers(), []);
  });

  for (const [who, record, startTime] of [
    ['a later process with the same pid', DEAD, '1'],
    ['a process of this boot, noted in another', { ...DEAD, boot_id: 'another' }, undefined],
    ['the command of a living worker', LIVING, undefined],
  ] as const) {
    test(`leaves alone ${who}`, async () => {
      const { queue, store, run, recover } = openQueue();
      await enters(record, store, run);
      await claimed(queue, 'a', record.id);
      const { pid, child } = startCommand();
      noteGroup(run, record.id, pid, startTime);
      await recover();
      assert.equal(child.signalCode, null);
      assert.equal(process.kill(-pid, 0), true);
    });
  }
});
