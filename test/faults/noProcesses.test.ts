/** Where the system starts no process for a while: nothing is lost, no attempt counts, and all goes on by itself. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { kill, storeTest, type TestStore } from '../integration/support.js';
import { eventually } from './run.js';
import { straceMissing } from './strace.js';

const FORKS = '?clone,?clone3,?fork,?vfork';

/**
 * Lets every attempt of a process to start another one fail.
 *
 * @returns ends that
 */
async function failForks(pid: number, errno: string): Promise<() => Promise<void>> {
  const strace = spawn('strace', ['-p', `${pid}`, '-o', '/dev/null', '-e', `inject=${FORKS}:error=${errno}`], {
    stdio: 'ignore',
  });
  const ended = once(strace, 'close');
  await eventually(() => /^TracerPid:\t[1-9]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
  return async () => {
    strace.kill('SIGINT');
    await ended;
  };
}

const only = <T>([one, ...others]: readonly T[]): T => {
  assert.ok(one !== undefined && others.length === 0);
  return one;
};

async function warnings(store: TestStore): Promise<string> {
  const { code, stderr } = await store.run(['status']);
  assert.equal(code, 0);
  return stderr;
}

/** How often a text is in the log of the workers. */
const timesSaid = (store: TestStore, text: string) =>
  readFileSync(join(store.dataDir, 'workers/workers.log'), 'utf8').split(text).length - 1;

describe('where no process can be started', { concurrency: 2, skip: straceMissing }, () => {
  for (const [errno, words] of [
    ['ENOMEM', 'out of memory'],
    ['EAGAIN', 'the system takes no more for now'],
  ] as const) {
    storeTest(`a supervisor tries again until it can, and says so (${errno})`, async (store) => {
      await store.startWorkers('--count', '2');
      const { pid } = only(store.records('supervisor'));
      const allow = await failForks(pid, errno);
      for (const worker of store.records('worker')) kill(worker.pid);
      const fact = `2 workers of supervisor ${pid} could not be started again: cannot start a worker process: ${words}`;
      await eventually(async () => (await warnings(store)).includes(fact));
      const { code, stdout } = await store.run(['doctor']);
      assert.equal(code, 1);
      assert.ok(stdout.includes(fact), stdout);
      await store.enqueue({ id: 'a', command: 'true' });
      assert.equal(timesSaid(store, `cannot start a worker process: ${words}`), 1);
      await allow();
      await eventually(() => store.completed() === 1);
      await eventually(async () => (await warnings(store)) === '');
      assert.equal((await store.run(['doctor'])).code, 0);
      assert.equal(store.job('a').attempts, 1);
      await store.ok('worker-stop');
    });
  }

  storeTest('a worker that cannot start what starts its commands waits, and no attempt counts', async (store) => {
    await store.startWorkers();
    const { pid } = only(store.records('worker'));
    const allow = await failForks(pid, 'ENOMEM');
    await store.enqueue({ id: 'a', command: 'true', max_retries: 0 });
    await assertWaits(store, 'a job could not be started: cannot start a process: not enough memory');
    await allow();
    await assertGoesOn(store, 1);
    assert.equal(only(store.records('worker')).pid, pid, 'it has not died of it');
    await store.ok('worker-stop');
  });

  storeTest('nor does one whose command cannot be forked', async (store) => {
    await store.startWorkers('--concurrency', '2');
    await store.enqueue({ id: 'first', command: 'true' });
    await eventually(() => store.completed() === 1);
    const perl = store.processes().find(({ commandLine }) => commandLine.startsWith('perl '));
    assert.ok(perl !== undefined);
    const allow = await failForks(perl.pid, 'EAGAIN');
    await store.enqueue(...['a', 'b', 'c'].map((id) => ({ id, command: 'true', max_retries: 0 })));
    await assertWaits(store, 'a job could not be started: cannot start a process: resource temporarily unavailable');
    await allow();
    await assertGoesOn(store, 4);
    await store.ok('worker-stop');
  });
});

/** How long nothing can be started. With a pause that does not grow there would be some ten attempts. */
const SHORTAGE_MS = 6000;

/** Fails unless a job cannot be started, and is tried again after growing pauses, and that is said once. */
async function assertWaits(store: TestStore, reason: string): Promise<void> {
  await eventually(() => timesSaid(store, reason) > 0);
  await delay(SHORTAGE_MS);
  assert.equal(timesSaid(store, reason), 1);
}

/** Fails unless all are done by their first attempt. */
async function assertGoesOn(store: TestStore, jobs: number): Promise<void> {
  await eventually(() => store.completed() === jobs);
  assert.deepEqual(store.dead(), []);
  for (const { id, attempts, last_error } of store.queue()) assert.deepEqual([id, attempts, last_error], [id, 1, null]);
}
