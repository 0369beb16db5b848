/** What requests to stop do to the jobs that run. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { waitFor } from '../helpers/waitFor.js';
import { type Foreground, storeTest, type TestStore, UNTIL_GO } from './support.js';

const SHORT = { id: 'short', command: `: > begun; ${UNTIL_GO}; : > finished` };
const endless = (store: TestStore, id: string) => ({ id, command: `: > begun; ${store.endless}; : > finished` });
const NEXT = { id: 'next', command: ': > next' };

async function foreground(store: TestStore, job: object): Promise<Foreground> {
  await store.enqueue(job, NEXT);
  const workers = await store.startForeground('worker-start', '--foreground');
  await waitFor(() => store.has('begun'));
  return workers;
}

const states = (store: TestStore) => store.queue().map(({ id, state, attempts }) => `${id} ${state} ${attempts}`);

describe('signals', { concurrency: 4 }, () => {
  for (const [signal, times] of [
    ['SIGTERM', 1],
    ['SIGHUP', 2], // a terminal that closes sends it, and its shell another
  ] as const) {
    storeTest(`${signal} lets the current job finish, begins no other, and exits 0`, async (store) => {
      const workers = await foreground(store, SHORT);
      for (let time = 1; time <= times; time++) {
        process.kill(workers.pid, signal);
        await waitFor(() => workers.output().includes('Stopping once'));
      }
      store.go();
      assert.equal(await workers.ended, 0);
      assert.equal(store.has('finished'), true);
      assert.equal(store.has('next'), false);
      assert.deepEqual(states(store), ['short completed 1', 'next pending 0']);
      assert.match(workers.output(), /short completed\n.*\nAll workers stopped\.\n$/);
    });
  }

  storeTest('Ctrl-C, which the whole foreground group gets, is one request', async (store) => {
    const workers = await foreground(store, SHORT);
    process.kill(-workers.pid, 'SIGINT');
    await waitFor(() => workers.output().includes('Stopping once'));
    store.go();
    assert.equal(await workers.ended, 0);
    assert.equal(store.has('finished'), true);
    assert.deepEqual(states(store), ['short completed 1', 'next pending 0']);
  });

  storeTest('a job that times out fails with all it started, and another job does not', async (store) => {
    await store.ok('config-set', 'kill_grace', '0.2');
    await store.ok('config-set', 'job_timeout', '60');
    await store.ok('enqueue', '--id', 'late', '--timeout', '0.5', '--max-retries', '1', `echo at it; ${store.endless}`);
    await store.enqueue({ id: 'own', command: store.endless, timeout: 0.4, max_retries: 0 }, SHORT);
    store.go();
    await store.startWorkers('--concurrency', '3');
    await waitFor(() => store.queue().some(({ id, state }) => id === 'late' && state === 'failed'));
    assert.equal(store.job('late').last_error, 'timed out after 0.5 s: at it');
    await waitFor(() => store.dead().length === 2);
    assert.deepEqual(
      store
        .dead()
        .map(({ id, error, timeout }) => [id, error, timeout])
        .sort(),
      [
        ['late', 'timed out after 0.5 s: at it', 0.5],
        ['own', 'timed out after 0.4 s', 0.4],
      ],
    );
    assert.equal(store.endlessProcesses().length, 0);
    await waitFor(() => store.queue().some(({ id, state }) => id === 'short' && state === 'completed'));
    await store.ok('config-set', 'job_timeout', '0.3');
    await store.ok('dlq-retry', 'own');
    await store.ok('enqueue', '--id', 'default', '--max-retries', '0', store.endless);
    await waitFor(() => store.dead().some(({ id }) => id === 'default'));
    assert.equal(store.dead().find(({ id }) => id === 'default')?.error, 'timed out after 0.3 s');
    await store.ok('worker-stop');
  });

  storeTest('a worker ends with its last job, however long it would sleep', async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '3600000');
    const workers = await foreground(store, SHORT);
    const stopped = store.ok('worker-stop');
    await waitFor(() => workers.output().includes('Stopping once'));
    store.go();
    assert.equal(await workers.ended, 0); // the test has minutes, and the worker would sleep for an hour
    await stopped;
    assert.equal(store.has('finished'), true);
    assert.deepEqual(states(store), ['short completed 1', 'next pending 0']);
  });

  storeTest('a second SIGTERM ends the job and gives it back as it was', async (store) => {
    const workers = await foreground(store, endless(store, 'endless'));
    await waitFor(() => store.endlessProcesses().length === 3);
    process.kill(workers.pid, 'SIGTERM');
    await waitFor(() => workers.output().includes('Ctrl-C again ends them'));
    process.kill(workers.pid, 'SIGTERM');
    assert.equal(await workers.ended, 0);
    assert.equal(store.endlessProcesses().length, 0);
    assert.equal(store.has('finished'), false);
    assert.deepEqual(states(store), ['endless pending 0', 'next pending 0']);
    assert.deepEqual(store.dead(), []);
  });

  storeTest('worker-stop --now ends the jobs and gives them back as they were', async (store) => {
    await store.enqueue(endless(store, 'first'), endless(store, 'second'));
    await store.startWorkers('--count', '2');
    await waitFor(() => store.endlessProcesses().length === 6);
    assert.equal(await store.ok('worker-stop', '--now', '--json'), '{"stopped":2}\n');
    assert.equal(store.endlessProcesses().length, 0);
    assert.deepEqual(states(store), ['first pending 0', 'second pending 0']);
  });

  storeTest('worker-stop says that it waits for processes that are stopped, and --now wakes them', async (store) => {
    await store.startWorkers();
    const pids = [...store.records('supervisor'), ...store.records('worker')].map(({ pid }) => pid);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    const patient = await store.start('(SIGSTOP)', 'worker-stop');
    assert.match(
      patient.output(),
      /Waiting for 2 processes of queuectl to end: \d+, \d+\. `queuectl worker-stop --now` also/,
    );
    for (const pid of pids) assert.match(patient.output(), new RegExp(`\\b${pid}\\b`));
    assert.equal(await store.ok('worker-stop', '--now', '--json'), '{"stopped":1}\n');
    assert.equal(await patient.ended, 0);
  });

  storeTest('worker-stop --now says what it waits for when it takes its time', async (store) => {
    await store.enqueue({ id: 'deaf', command: 'trap "" TERM; : > begun; while :; do sleep 60; done' });
    await store.ok('config-set', 'kill_grace', '4');
    await store.startWorkers();
    await waitFor(() => store.has('begun'));
    const pids = [...store.records('supervisor'), ...store.records('worker')].map(({ pid }) => pid);
    const stop = await store.start('Waiting', 'worker-stop', '--now');
    const [, said = ''] = /Waiting for 2 processes of queuectl to end: (\d+, \d+)\.$/m.exec(stop.output()) ?? [];
    assert.deepEqual(said.split(', ').map(Number).sort(), pids.sort());
    assert.equal(await stop.ended, 0);
  });

  storeTest('a second worker-stop waits for the current job, too', async (store) => {
    await store.enqueue({ id: 'short', command: ': > begun; sleep 2; : > finished' });
    await store.startWorkers();
    await waitFor(() => store.has('begun'));
    await Promise.all([store.ok('worker-stop'), store.ok('worker-stop')]);
    assert.equal(store.has('finished'), true);
    assert.deepEqual(states(store), ['short completed 1']);
  });
});
