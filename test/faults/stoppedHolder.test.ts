/** A process that is stopped while it holds the lock loses it, and finds its way when it goes on. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PROGRAM, withoutAdvice } from '../helpers/runCli.js';
import { aboutFiles, byKind, storeTest, type TestStore } from '../integration/support.js';
import { assertDone, environment, eventually, queuectl, run } from './run.js';
import { fill, fillWithWorker, removeWorker } from './scenarios.js';
import { straceMissing } from './strace.js';

/** The lock is taken from a process that lives after 10 seconds; after 3 if it has not even signed it. */
const TAKEOVER_MS = [1000, 25_000] as const;
const WORKER_MAIN = join(dirname(PROGRAM), 'workerMain.cjs');

/** Where it stops: behind the call with this number, of all of this name or of those that are about a file. */
interface Stop {
  readonly title: string;
  readonly call: string;
  readonly nth: number;
  readonly file?: string;
}

const LOCK = 'lock/store';
const JOURNAL = 'journal.ndjson';

const COMMAND_STOPS: readonly Stop[] = [
  { title: 'has made the lock', call: 'link', nth: 1, file: LOCK },
  { title: 'has signed the lock', call: 'utimensat', nth: 1, file: LOCK },
  { title: 'has read the store', call: 'statx', nth: 2, file: 'dlq.json' },
  { title: 'has sealed the journal', call: 'write', nth: 1, file: JOURNAL },
  { title: 'has replaced queue.json', call: 'rename', nth: 3 },
  { title: 'has replaced the journal', call: 'rename', nth: 4 },
];
/** Where a command stops that adds a line to the journal, and leaves the fold to a worker. */
const LINE_STOPS: readonly Stop[] = [
  { title: 'is about to add its line', call: 'openat', nth: 1, file: 'workers/w1.json' },
  { title: 'has added its line', call: 'write', nth: 1, file: JOURNAL },
];
const WORKER_STOPS: readonly Stop[] = [
  { title: 'has made the lock', call: 'link', nth: 3, file: LOCK },
  { title: 'has signed the lock', call: 'utimensat', nth: 3, file: LOCK },
  { title: 'looks at the store', call: 'statx', nth: 5, file: 'dlq.json' },
  { title: 'looks at the store once more', call: 'statx', nth: 6, file: 'dlq.json' },
  { title: 'has claimed a job', call: 'write', nth: 1, file: JOURNAL },
  { title: 'has settled a job and claimed another', call: 'write', nth: 3, file: JOURNAL },
];

interface Sleeper {
  /** Lets it go on. */
  wake(): void;
  readonly pid: number;
  readonly ended: Promise<{ code: number | null; stderr: string }>;
}

/** Starts a command that stops at some place; resolves once it has. */
async function startSleeper(store: TestStore, command: readonly string[], stop: Stop): Promise<Sleeper> {
  const { call, nth, file } = stop;
  const only = file === undefined ? [] : ['-P', join(store.directory, file)];
  const aim = [...only, '-e', `trace=${call}`, '-e', `inject=${call}:signal=STOP:when=${nth}`];
  const child = spawn('strace', ['-o', '/dev/null', ...aim, '--', ...command], {
    cwd: store.root,
    env: environment(store),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const code = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const stderr = text(child.stderr);
  const pid = await eventually(
    () => store.processes().find(({ commandLine }) => commandLine.startsWith(command.join(' ')))?.pid,
  );
  await eventually(() => isStopped(pid));
  return {
    wake: () => process.kill(pid, 'SIGCONT'),
    pid,
    ended: Promise.all([code, stderr]).then(([code, stderr]) => ({ code, stderr: withoutAdvice(stderr) })),
  };
}

/** Whether its other threads are stopped: the main thread is stopped by strace at every call, too. */
function isStopped(pid: number): boolean {
  const threads = fs.readdirSync(`/proc/${pid}/task`).filter((thread) => thread !== String(pid));
  return threads.some((thread) => stateOf(`/proc/${pid}/task/${thread}`) === 'T');
}

const stateOf = (thread: string) => /^State:\s+(\w)/m.exec(fs.readFileSync(`${thread}/status`, 'utf8'))?.[1] ?? '';

describe('a holder of the lock that is stopped', {
  concurrency: 16,
  skip: straceMissing || (aboutFiles ?? false),
}, () => {
  for (const stop of COMMAND_STOPS) {
    storeTest(`a command that ${stop.title}: another takes over, and both jobs are there`, async (store) => {
      await fill(store.directory);
      await enqueueTwo(store, stop);
      assert.deepEqual(idsOf(store.queue()), ['other', 'p', 'q', 'r', 'slow']);
      assert.deepEqual(idsOf(store.dead()), ['dead']);
    });
  }

  for (const stop of LINE_STOPS) {
    storeTest(`a command that ${stop.title} while a worker lives: both jobs are there`, async (store) => {
      await fillWithWorker(store.directory);
      await enqueueTwo(store, stop);
      removeWorker(store.directory);
      await store.ok('status');
      assert.deepEqual(idsOf(store.queue()), ['other', 'p', 'q', 'r', 'slow']);
      assert.deepEqual(idsOf(store.dead()), ['dead']);
    });
  }

  for (const stop of WORKER_STOPS) {
    storeTest(`a worker that ${stop.title}: another goes on, and every job is run once`, async (store) => {
      const ids = await enqueueDozen(store);
      const sleeper = await startSleeper(store, worker(store), stop);
      await store.startWorkers();
      const left = async () => ids.length - (await store.counts()).completed;
      await eventually(() => store.completed() >= ids.length - 1);
      assert.equal((await store.counts()).processing, await left(), 'what the sleeper holds stays its own');
      sleeper.wake();
      await assertEachRunOnce(store, sleeper, ids);
    });
  }
});

/** The system takes no lock of SQLite from a process that lives. */
const HOLDING_STOPS: readonly Stop[] = [
  { title: 'is amid its commit', call: 'pwrite64', nth: 5, file: 'queue.db-wal' },
  { title: 'writes the journal into the database', call: 'pwrite64', nth: 1, file: 'queue.db' },
];
const FREE_STOP: Stop = { title: 'has opened the database', call: 'fcntl', nth: 1, file: 'queue.db' };
const HOLDING_WORKER: Stop = { title: 'is amid a commit', call: 'pwrite64', nth: 30, file: 'queue.db-wal' };
/** It tells of a commit when it holds no lock any more. */
const FREE_WORKERS: readonly Stop[] = [
  { title: 'has claimed a job', call: 'utimensat', nth: 1, file: 'queue.db' },
  { title: 'has settled a job and claimed another', call: 'utimensat', nth: 2, file: 'queue.db' },
];
const WATCHED_MS = 1500;
const notSqlite = byKind<string | false>({ file: 'it is about SQLite', sqlite: false });

describe('who uses SQLite and is stopped', { concurrency: 8, skip: straceMissing || notSqlite }, () => {
  for (const stop of HOLDING_STOPS) {
    storeTest(
      `a command that ${stop.title}: another waits until it goes on, and both jobs are there`,
      async (store) => {
        await fill(store.directory);
        const sleeper = await startSleeper(store, queuectl('enqueue', '--id', 'slow', 'true'), stop);
        const other = run(queuectl('enqueue', '--id', 'other', 'true'), store);
        await assertWaits(other);
        sleeper.wake();
        assertDone(await other, 'the other command');
        assert.deepEqual(await sleeper.ended, { code: 0, stderr: '' });
        assert.deepEqual(idsOf(store.queue()), ['other', 'p', 'q', 'r', 'slow']);
      },
    );
  }

  storeTest(`a command that ${FREE_STOP.title}: nobody waits for it, and both jobs are there`, async (store) => {
    await fill(store.directory);
    const sleeper = await startSleeper(store, queuectl('enqueue', '--id', 'slow', 'true'), FREE_STOP);
    assertDone(await run(queuectl('enqueue', '--id', 'other', 'true'), store), 'the other command');
    sleeper.wake();
    assert.deepEqual(await sleeper.ended, { code: 0, stderr: '' });
    assert.deepEqual(idsOf(store.queue()), ['other', 'p', 'q', 'r', 'slow']);
  });

  storeTest(`a worker that ${HOLDING_WORKER.title}: others wait, and every job is run once`, async (store) => {
    const ids = await enqueueDozen(store);
    const sleeper = await startSleeper(store, worker(store), HOLDING_WORKER);
    const others = store.startWorkers();
    await assertWaits(others);
    sleeper.wake();
    await others;
    await assertEachRunOnce(store, sleeper, ids);
  });

  for (const stop of FREE_WORKERS) {
    storeTest(`a worker that ${stop.title}: another goes on, and every job is run once`, async (store) => {
      const ids = await enqueueDozen(store);
      const sleeper = await startSleeper(store, worker(store), stop);
      await store.startWorkers();
      await eventually(() => store.completed() === ids.length - 1);
      assert.equal((await store.counts()).processing, 1, 'what the sleeper holds stays its own');
      sleeper.wake();
      await assertEachRunOnce(store, sleeper, ids);
    });
  }
});

async function assertWaits(work: Promise<unknown>): Promise<void> {
  const ended = work.then(() => 'ended');
  assert.equal(await Promise.race([ended, delay(WATCHED_MS, 'waits')]), 'waits');
}

async function enqueueDozen(store: TestStore): Promise<string[]> {
  const ids = Array.from({ length: 12 }, (_, at) => `job-${at}`);
  await store.enqueue(...ids.map((id) => ({ id, command: 'echo $QUEUECTL_JOB_ID >> runs' })));
  return ids;
}

/** The command line that runs a worker without a supervisor. */
function worker({ shelf }: TestStore): string[] {
  const task = { address: shelf.address, supervisorId: 'none', concurrency: 1, reports: false };
  return [process.execPath, WORKER_MAIN, 'worker', JSON.stringify(task)];
}

/** Waits until all is done, and ends the workers. */
async function assertEachRunOnce(store: TestStore, sleeper: Sleeper, ids: readonly string[]): Promise<void> {
  await eventually(() => store.completed() === ids.length);
  process.kill(sleeper.pid, 'SIGTERM');
  assert.deepEqual(await sleeper.ended, { code: 0, stderr: '' });
  await store.ok('worker-stop');
  assert.deepEqual(store.lines('runs').sort(), [...ids].sort());
  assert.deepEqual(new Set(store.queue().map(({ attempts }) => attempts)), new Set([1]));
}

/** One command stops, another enqueues meanwhile, and then the first goes on. */
async function enqueueTwo(store: TestStore, stop: Stop): Promise<void> {
  const sleeper = await startSleeper(store, queuectl('enqueue', '--id', 'slow', 'true'), stop);
  const other = await run(queuectl('enqueue', '--id', 'other', 'true'), store);
  assertDone(other, 'the other command');
  assert.ok(other.ms > TAKEOVER_MS[0] && other.ms < TAKEOVER_MS[1], `after ${other.ms} ms`);
  sleeper.wake();
  assert.deepEqual(await sleeper.ended, { code: 0, stderr: '' });
}

const idsOf = (jobs: readonly { readonly id: string }[]) => jobs.map(({ id }) => id).sort();
