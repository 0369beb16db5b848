/** What becomes of jobs, commands and workers when processes are killed. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe } from 'node:test';
import { NO_PERL, pathWithPerl } from '../helpers/perl.js';
import { runCli } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { byKind, kill, storeTest, type TestStore, UNTIL_GO } from './support.js';

const workerPids = (store: TestStore) => store.records('worker').map(({ pid }) => pid);

/** Waits until an endless command runs. @returns its processes */
async function endlessCommand(store: TestStore): Promise<number[]> {
  const tails = () => store.endlessProcesses().filter(({ commandLine }) => commandLine.startsWith('tail'));
  await waitFor(() => tails().length === 2);
  return store.endlessProcesses().map(({ pid }) => pid);
}

const noneOf = (store: TestStore, pids: readonly number[]) => !store.processes().some(({ pid }) => pids.includes(pid));

/** Kills queuectl's own processes, none of which gets the time to clean up after another. */
function killAllButCommands(store: TestStore): void {
  const commands = new Set(store.endlessProcesses().map(({ pid }) => pid));
  const own = store.processes().filter(({ pid }) => !commands.has(pid));
  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) for (const { pid } of own) process.kill(pid, signal);
}

/** Kills everybody but an endless command, and sees what follows when somebody looks at the queue. */
async function outliveEverybody(store: TestStore): Promise<void> {
  const command = await endlessCommand(store);
  killAllButCommands(store);
  await waitFor(() => store.processes().length === command.length);
  assert.equal((await store.counts()).failed, 1);
  assert.equal(noneOf(store, command), true);
  assert.equal(store.job('endless').attempts, 1);
}

describe('recovery', { concurrency: 3 }, () => {
  storeTest('a killed worker is replaced, its command ended, its job retried and at last buried', async (store) => {
    await store.ok('config-set', 'backoff_base', '1');
    await store.enqueue({ id: 'endless', command: store.endless, max_retries: 1 });
    let [worker = 0] = await store.startWorkers();
    for (const _attempt of [1, 2]) {
      const command = await endlessCommand(store);
      kill(worker);
      await waitFor(() => noneOf(store, command));
      const killed = worker;
      worker = await waitFor(() => workerPids(store).find((pid) => pid !== killed));
    }
    await waitFor(() => store.dead().length === 1);
    assert.equal((await store.counts()).activeWorkers, 1);
    await store.ok('worker-stop');
    assert.deepEqual(store.queue(), []);
    const [{ id, attempts, error } = {}] = store.dead();
    assert.deepEqual({ id, attempts, error }, { id: 'endless', attempts: 2, error: 'its worker died' });
  });

  storeTest('workers whose supervisor is killed finish their jobs and end', async (store) => {
    await store.enqueue(
      { id: 'a', command: `: > begun; ${UNTIL_GO}; sleep 1; : > finished` },
      { id: 'b', command: 'sleep 2' },
    );
    const workers = await store.startWorkers();
    await waitFor(() => store.has('begun'));
    const supervisors = store.records('supervisor').map(({ pid }) => pid);
    for (const pid of supervisors) kill(pid);
    await waitFor(() => noneOf(store, supervisors));
    store.go();
    await waitFor(() => noneOf(store, workers));
    assert.equal(store.has('finished'), true);
    assert.deepEqual(
      store.queue().map(({ id, state, attempts }) => ({ id, state, attempts })),
      [
        { id: 'a', state: 'completed', attempts: 1 },
        { id: 'b', state: 'pending', attempts: 0 },
      ],
      'without a further command the snapshot tells everything',
    );
    assert.equal((await store.counts()).activeWorkers, 0);
  });

  storeTest('status recovers the job of a supervisor and a worker killed together', async (store) => {
    await store.enqueue({ id: 'endless', command: store.endless });
    const [worker = 0] = await store.startWorkers();
    const command = await endlessCommand(store);
    for (const { pid } of store.records('supervisor')) kill(pid);
    kill(worker);
    const expected = { activeWorkers: 0, pending: 0, processing: 0, completed: 0, failed: 1, dead: 0 };
    assert.deepEqual(await store.counts(), expected);
    assert.equal(noneOf(store, command), true);
    const { state, attempts, last_error } = store.job('endless');
    assert.deepEqual({ state, attempts, last_error }, { state: 'failed', attempts: 1, last_error: 'its worker died' });
  });

  storeTest('a command that outlives everybody who ran it is ended before its job is given back', async (store) => {
    await store.enqueue({ id: 'endless', command: store.endless });
    await store.startForeground('worker-start', '--foreground');
    await outliveEverybody(store);
  });

  storeTest('so is one that was started without perl', async (store) => {
    await store.enqueue({ id: 'endless', command: store.endless });
    const env = { ...store.env, PATH: pathWithPerl(store.root, NO_PERL) };
    assert.equal((await runCli(['worker-start'], { dataDir: store.dataDir, cwd: store.root, env })).code, 0);
    await outliveEverybody(store);
  });

  storeTest(
    'a worker whose settings are damaged while a job runs waits for them, and loses no result',
    async (store) => {
      await store.enqueue({
        id: 'a',
        command: ': > begun; until [ -e go ]; do sleep 0.05; done; : > done',
        max_retries: 0,
      });
      const [worker] = await store.startWorkers();
      await waitFor(() => store.has('begun'));
      store.shelf.putSetting('kill_grace', -5);
      writeFileSync(`${store.root}/go`, '');
      await waitFor(() => store.has('done'));
      await waitFor(() =>
        readFileSync(`${store.dataDir}/workers/workers.log`, 'utf8').includes('"kill_grace" must be'),
      );
      const { stderr } = await store.run(['worker-start']);
      assert.ok(stderr.includes(`${store.shelf.placeOfSettings} is damaged: "kill_grace" must be`), stderr);
      store.shelf.putSetting('kill_grace', 5);
      await waitFor(() => store.queue()[0]?.state === 'completed');
      assert.deepEqual(workerPids(store), [worker]);
      await store.ok('worker-stop');
    },
  );

  storeTest('workers whose store is removed end, with their supervisor', async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '200');
    await store.startWorkers('--count', '2');
    store.removeStore();
    await waitFor(() => store.processes().length === 0);
    assert.equal(store.isThere(), false);
  });

  storeTest(
    'workers whose state directory alone is removed give their jobs back, and others are in their place',
    async (store) => {
      await store.ok('config-set', 'worker_idle_delay', '200');
      await store.enqueue({ id: 'a', command: store.endless });
      const [worker] = await store.startWorkers();
      const command = await endlessCommand(store);
      rmSync(store.dataDir, { recursive: true });
      await waitFor(() => noneOf(store, command));
      await endlessCommand(store);
      assert.deepEqual([store.job('a').state, store.job('a').attempts], ['processing', 1]);
      assert.equal(workerPids(store).length, 1);
      assert.notEqual(workerPids(store)[0], worker);
      await store.ok('worker-stop', '--now');
    },
    byKind({ file: 'the store is in it', sqlite: undefined }),
  );

  const GRANDPARENT = `$(cut -d' ' -f4 /proc/$PPID/stat)`;
  for (const [whom, pid] of [
    ['who started it', '$PPID'],
    ...(process.platform === 'linux' ? [['its worker', GRANDPARENT] as const] : []),
  ] as const) {
    storeTest(`a job that kills ${whom} is buried after its attempts, and other jobs go on`, async (store) => {
      await store.ok('config-set', 'backoff_base', '1');
      const poison = `echo x >> poisoned; kill -9 ${pid}; sleep 60`;
      await store.enqueue({ id: 'poison', command: poison, max_retries: 2 }, { id: 'other', command: 'true' });
      await store.startWorkers();
      await waitFor(() => store.dead().length === 1);
      await waitFor(() => store.queue().some(({ state }) => state === 'completed'));
      await store.ok('worker-stop');
      assert.equal(store.lines('poisoned').length, 3);
      const [{ id, attempts, error = '' } = {}] = store.dead();
      assert.deepEqual({ id, attempts }, { id: 'poison', attempts: 3 });
      assert.match(error, /^(killed by SIGKILL|its worker died)$/);
      assert.deepEqual(
        store.queue().map((job) => [job.id, job.attempts]),
        [['other', 1]],
      );
    });
  }
});
