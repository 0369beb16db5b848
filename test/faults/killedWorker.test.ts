/** A worker killed at any of its calls, or by its own job: its jobs are run again or buried, and the others go on. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { NO_PERL, pathWithPerl } from '../helpers/perl.js';
import { PROGRAM } from '../helpers/runCli.js';
import { kill, storeTest, TestStore } from '../integration/support.js';
import { EVERY_CASE, each, eventually, LateError } from './run.js';
import { assertWhole } from './scenarios.js';
import { type Call, callsIn, isChange, straceMissing, type Traced, touches, trace } from './strace.js';

const WORKER_MAIN = join(dirname(PROGRAM), 'workerMain.cjs');
/** How many of the calls are tried, if not all. */
const SAMPLE = 10;

/** Says when it is run twice at once. */
const exclusive = (id: string, command: string) =>
  `exec 9> ${id}.held; flock -n 9 || echo ${id} >> twice; echo ${id} >> runs; ${command}`;
const JOBS = [
  { id: 'first', command: exclusive('first', 'true'), max_retries: 3 },
  { id: 'bad', command: exclusive('bad', 'false'), max_retries: 0 },
  { id: 'last', command: exclusive('last', 'true'), max_retries: 3 },
];

const isSettled = (store: TestStore) =>
  store.queue().length === 2 && store.queue().every(({ state }) => state === 'completed') && store.dead().length === 1;

/** Runs one worker under strace until it has settled all jobs, or is killed. */
async function runWorker(store: TestStore, fault?: string, PATH?: string): Promise<Traced> {
  await store.ok('config-set', 'backoff_base', '1');
  await store.enqueue(...JOBS);
  const task = { address: store.shelf.address, supervisorId: 'none', concurrency: 1, reports: false };
  const command = [process.execPath, WORKER_MAIN, 'worker', JSON.stringify(task)];
  let ended = false;
  const { directory, root: cwd } = store;
  const env = PATH === undefined ? store.env : { ...store.env, PATH };
  const traced = trace(command, { directory, env, cwd }, fault).finally(() => {
    ended = true;
  });
  const worker = () =>
    store.processes().find(({ commandLine }) => commandLine.startsWith(`${process.execPath} ${WORKER_MAIN}`));
  // What a dead one has left is for the program to tidy, so that is not looked at.
  await eventually(() => ended || (worker() !== undefined && isSettled(store)));
  const { pid } = worker() ?? {};
  if (pid !== undefined) kill(pid, 'SIGTERM');
  return traced;
}

test('a worker killed while it claims, settles and buries: every job ends as it should', {
  skip: straceMissing,
}, async () => {
  const calls = await withStore(async (store) => {
    const { code, calls } = await runWorker(store);
    assert.equal(code, 0);
    const own = calls.filter((call) => touches(store.directory, call));
    return EVERY_CASE ? own : own.filter(isChange);
  });
  const step = EVERY_CASE ? 1 : Math.floor(calls.length / SAMPLE);
  const tried = calls.filter((_, at) => at % step === 0);
  const deaths = await each(tried, 6, (call) => withStore((store) => dieAt(store, call)));
  assert.ok(deaths.filter((died) => died).length > tried.length / 2, 'it has hardly ever been killed');
});

/** @returns whether the worker has been killed; it may make fewer calls than another time */
async function dieAt(store: TestStore, { name, nth, text }: Call): Promise<boolean> {
  const { signal } = await runWorker(store, `${name}:signal=KILL:when=${nth}`);
  const when = `killed at ${text}`;
  assertWhole(store.directory, when);
  await store.startWorkers('--count', '2');
  await eventually(() => isSettled(store));
  await store.leftIsRemoved();
  await store.ok('worker-stop');
  await store.ok('config-set', 'max_retries', '3'); // takes over a lock that nobody has needed since
  assert.deepEqual(store.lines('twice'), [], `${when}: run twice at once`);
  const [bad] = store.dead();
  assert.deepEqual([bad?.id, bad?.attempts], ['bad', 1], when);
  for (const { id, attempts } of store.queue()) {
    const runs = store.lines('runs').filter((line) => line === id).length;
    assert.ok(
      runs >= 1 && runs <= attempts && attempts <= 2,
      `${when}: ${id} has run ${runs} times, attempts ${attempts}`,
    );
  }
  return signal === 'SIGKILL';
}

test('a worker one of whose calls fails goes on, or ends and says why: no attempt is lost or runs twice', {
  skip: straceMissing,
}, async () => {
  // Without perl it opens logs and notes itself.
  const calls = await withStore(async (store) => {
    const { code, calls } = await runWorker(store, undefined, pathWithPerl(store.root, NO_PERL));
    assert.equal(code, 0);
    const own = calls.filter((call) => touches(store.directory, call) && !isOfNoDisk(call));
    return EVERY_CASE ? own : own.filter((call) => isChange(call) || call.name.startsWith('open'));
  });
  const step = EVERY_CASE ? 1 : Math.floor(calls.length / SAMPLE);
  const errors = EVERY_CASE ? ['EIO', 'EINTR', 'ENOSPC'] : ['EIO'];
  const tried = calls.filter((_, at) => at % step === 0).flatMap((call) => errors.map((error) => ({ call, error })));
  await each(tried, 6, ({ call, error }) => withStore((store) => failAt(store, call, error)));
});

/** Calls that ask no disk. */
const isOfNoDisk = ({ name, text }: Call) => /^(close|fcntl)$/.test(name) || /AT_EMPTY_PATH|^fstat/.test(text);

async function failAt(store: TestStore, { name, nth, text }: Call, error: string): Promise<void> {
  const when = `${error} at ${text}`;
  const PATH = pathWithPerl(store.root, NO_PERL);
  const ended = await runWorker(store, `${name}:error=${error}:when=${nth}`, PATH).catch((late: unknown) => {
    if (late instanceof LateError) return late;
    throw late;
  });
  const hit = callsIn(store.directory).find((call) => call.text.includes('(INJECTED)'));
  if (hit !== undefined && !touches(store.directory, hit)) return; // a pipe of Node's own, which never fails so
  if (ended instanceof LateError) throw ended;
  const { code, signal, stderr } = ended;
  assert.equal(signal, null, when);
  assert.ok(code === 0 || stderr !== '', `${when}: it ends without a word`);
  assert.doesNotMatch(stderr, /^\s+at /m, when);
  assertWhole(store.directory, when);
  await store.startWorkers('--count', '2');
  await eventually(() => isSettled(store));
  await store.leftIsRemoved();
  await store.ok('worker-stop');
  await store.ok('config-set', 'max_retries', '3');
  assert.deepEqual(store.lines('twice'), [], `${when}: run twice at once`);
  for (const { id, attempts } of [...store.queue(), ...store.dead()]) {
    assert.equal(store.lines('runs').filter((line) => line === id).length, attempts, `${when}: ${id}`);
    assert.equal(attempts, 1, `${when}: ${id}`);
  }
}

/** Does something with a store of its own, and sees that nothing is left there. */
async function withStore<T>(work: (store: TestStore) => Promise<T>): Promise<T> {
  const store = new TestStore();
  try {
    const result = await work(store);
    await store.assertNothingLeft();
    return result;
  } finally {
    await store.remove();
  }
}

describe('a job that kills its worker each time', { skip: process.platform !== 'linux' }, () => {
  storeTest('is buried, and what ran beside it is run again until it is done', async (store) => {
    await store.ok('config-set', 'backoff_base', '1');
    const ownWorker = `ls ${store.dataDir}/workers/*.guard | sed 's/.*\\///; s/-.*//'`;
    const poison = `echo x >> poisoned; kill -9 $(${ownWorker}); sleep 60`;
    const beside = [1, 2].map((at) => ({ id: `beside-${at}`, command: 'sleep 0.3', max_retries: 5 }));
    await store.enqueue({ id: 'poison', command: poison, max_retries: 2 }, ...beside);
    await store.startWorkers('--concurrency', '3');
    await eventually(() => store.dead().length === 1);
    await store.enqueue({ id: 'later', command: 'true' });
    await eventually(() => store.completed() === 3);
    await store.ok('worker-stop');
    assert.deepEqual(
      store.dead().map(({ id, attempts, error }) => [id, attempts, error]),
      [['poison', 3, 'its worker died']],
    );
    assert.equal(store.lines('poisoned').length, 3);
  });
});
