/** The supervisor with real worker processes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { QueueManager } from '../../../core/queueManager.js';
import { RunDirectory } from '../../../core/run/runDirectory.js';
import type { WorkerEvent } from '../../../core/workers/messages.js';
import { Supervisor } from '../../../core/workers/supervisor.js';
import { nextTurn } from '../../../utils/delay.js';
import { tempStore } from '../../helpers/tempStore.js';
import { fileStore } from '../../helpers/testStore.js';
import { waitFor } from '../../helpers/waitFor.js';

/** A supervisor that is yet to be started, and what it tells, each with its time in milliseconds. */
function makeSupervisor(count: number, dir = tempStore(), dataDir = dir) {
  const events: (WorkerEvent & { at: number })[] = [];
  const errors: string[] = [];
  const { store } = fileStore(dir, { role: 'supervisor' });
  const supervisor = new Supervisor({
    store,
    run: new RunDirectory(dir),
    address: { kind: 'file', dir: dataDir },
    count,
    concurrency: 1,
    reportsJobs: false,
    onEvent: (event) => events.push({ ...event, at: performance.now() }),
    onError: ({ message }) => errors.push(message),
  });
  after(() => {
    supervisor.stop();
    return supervisor.run();
  });
  const started = () => events.flatMap((event) => (event.kind === 'worker started' ? [event] : []));
  const ended = () => events.flatMap((event) => (event.kind === 'worker ended' ? [event] : []));
  return { supervisor, store, started, ended, errors };
}

/** The worker processes that this process has started. */
function childPids(): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'ppid=,pid=,args='], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => {
    const [, parent, pid] = /^ *(\d+) +(\d+) .*workerMain/.exec(line) ?? [];
    return Number(parent) === process.pid ? [Number(pid)] : [];
  });
}

describe('a supervisor', { timeout: 300_000 }, () => {
  test('starts its workers, puts itself on record, and leaves nothing when it has stopped', async () => {
    const { supervisor, store, started, ended } = makeSupervisor(2);
    const pids = await supervisor.start();
    assert.deepEqual(
      started()
        .map(({ pid }) => pid)
        .sort(),
      [...pids].sort(),
    );
    const { records } = await store.workers.list();
    assert.deepEqual(records.map(({ role, supervisor_id }) => [role, supervisor_id]).sort(), [
      ['supervisor', null],
      ['worker', supervisor.id],
      ['worker', supervisor.id],
    ]);
    supervisor.stop();
    await supervisor.run();
    assert.deepEqual(
      ended().map(({ how }) => how),
      ['exit code 0', 'exit code 0'],
    );
    assert.deepEqual((await store.workers.list()).records, []);
  });

  test('starts a worker that dies again, each time after a longer pause', async () => {
    const { supervisor, started, ended } = makeSupervisor(1);
    await supervisor.start();
    for (let deaths = 0; deaths < 4; deaths++) {
      const { pid } = await waitFor(() => started()[deaths]);
      process.kill(pid, 'SIGKILL');
    }
    await waitFor(() => started().length === 5);
    supervisor.stop();
    await supervisor.run();
    assert.deepEqual(
      ended().map(({ how }) => how),
      [...Array(4).fill('killed by SIGKILL'), 'exit code 0'],
    );
    assert.deepEqual(
      started().map(({ index }) => index),
      [1, 1, 1, 1, 1],
    );
    const pauses = started()
      .slice(1)
      .map(({ at }, deaths) => at - (ended()[deaths]?.at ?? 0));
    for (const [deaths, atLeast] of [100, 200, 400, 800].entries())
      assert.ok((pauses[deaths] ?? 0) >= atLeast, `${pauses}`);
  });

  test('asked twice, at whatever distance, has its workers end and give back what they run', async () => {
    const { supervisor, store } = makeSupervisor(2);
    const queue = new QueueManager(store);
    const commands = ['a', 'b'].map((id) => ({ id, command: 'sleep 1000' }));
    await queue.enqueueAll(commands);
    await supervisor.start();
    await waitFor(async () => (await queue.counts()).processing === 2);
    supervisor.stop();
    supervisor.stop();
    await supervisor.run();
    assert.deepEqual(
      (await queue.list()).map(({ state, attempts }) => `${state} ${attempts}`),
      ['pending 0', 'pending 0'],
    );
  });

  test('does not start a dead worker again once it was asked to stop', async () => {
    const { supervisor, started, ended } = makeSupervisor(1);
    const [pid = 0] = await supervisor.start();
    process.kill(pid, 'SIGKILL');
    await waitFor(() => ended().length === 1);
    supervisor.stop();
    await supervisor.run();
    assert.equal(started().length, 1);
  });

  test('tells why a worker could not be started again, and tries on', async () => {
    const dir = tempStore();
    const { supervisor, started, ended, errors } = makeSupervisor(1, dir);
    const [pid = 0] = await supervisor.start();
    writeFileSync(`${dir}/config.json`, '{');
    process.kill(pid, 'SIGKILL');
    await waitFor(() => errors.length >= 3);
    rmSync(`${dir}/config.json`);
    await waitFor(() => started().length === 2);
    assert.equal(ended().length, 1, 'who was not said to have started has not ended');
    for (const error of errors) assert.match(error, /config\.json is damaged/);
  });

  test('ends a worker that does not become ready, and says so', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { supervisor, store } = makeSupervisor(1);
    const start = supervisor.start();
    let [worker] = childPids();
    while (worker === undefined) {
      await nextTurn();
      [worker] = childPids();
    }
    process.kill(worker, 'SIGSTOP');
    await nextTurn();
    t.mock.timers.tick(63_000);
    await assert.rejects(start, { code: 'STORAGE', fact: 'a worker process was not ready after 63 seconds' });
    assert.deepEqual(childPids(), []);
    assert.deepEqual((await store.workers.list()).records, []);
  });

  test('rejects with the reason when its workers cannot start, and leaves nothing', async () => {
    const damaged = tempStore();
    writeFileSync(`${damaged}/queue.json`, '[{]');
    const { supervisor, store } = makeSupervisor(2, tempStore(), damaged);
    await assert.rejects(supervisor.start(), { code: 'STORAGE', fact: /queue\.json is damaged: it is not JSON/ });
    assert.deepEqual(childPids(), []);
    assert.deepEqual((await store.workers.list()).records, []);
  });
});
