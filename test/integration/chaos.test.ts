/** Everything at once, and processes that are killed at any moment. `npm run chaos` kills for longer. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Storm } from '../../scripts/chaos/storm.js';
import { EVERY_CASE } from '../faults/run.js';
import { waitFor } from '../helpers/waitFor.js';
import { kill, storeTest, type TestStore, UNTIL_GO } from './support.js';

const numbers = (count: number) => Array.from({ length: count }, (_, at) => String(at));

/** After a minute workers have been silent for so long that they end their commands. */
const PAUSE_MS = EVERY_CASE ? 62_000 : 3000;

const obstacle = spawnSync('flock', ['--version']).status === 0 ? undefined : 'it needs flock(1)';

describe('chaos', () => {
  storeTest(
    'whatever is killed, no acknowledged job is lost and none is run by two at once',
    async (store) => {
      const seed = Date.now() % 1_000_000;
      console.log(`seed ${seed}`);
      const storm = new Storm(store, { seed, kills: 40, seconds: 12 });
      await storm.rage();
      console.log(JSON.stringify(storm.toll));
      const { enqueue, attempts, worker, 'fork server': forkServer } = storm.toll;
      assert.ok(enqueue > 0 && attempts > 0 && worker + forkServer > 0, 'there was something to kill');
    },
    obstacle,
  );

  storeTest('every job of 50 processes that enqueue while eight workers drain is run once', async (store) => {
    await store.startWorkers('--count', '8');
    const ids = numbers(50);
    const took = await Promise.all(
      ids.map(async (id) => {
        const began = performance.now();
        assert.equal(
          await store.ok('enqueue', JSON.stringify({ id, command: `echo ${id} >> ran` })),
          `Job enqueued with ID: ${id}\n`,
        );
        return performance.now() - began;
      }),
    );
    assert.ok(Math.max(...took) < 60_000, `${took}`); // when it gives up
    await waitFor(() => store.lines('ran').length >= ids.length);
    await store.ok('worker-stop');
    assert.deepEqual(store.lines('ran').sort(), ids.sort());
    assert.deepEqual([...new Set(store.queue().map((job) => `${job.state} ${job.attempts}`))], ['completed 1']);
  });

  storeTest('status and worker-stop tell the truth of workers whose supervisor was killed', async (store) => {
    await store.enqueue(...numbers(2).map((id) => ({ id, command: `: > begun.${id}; ${UNTIL_GO}` })));
    const workers = await store.startWorkers('--count', '2');
    await waitFor(() => store.has('begun.0') && store.has('begun.1'));
    for (const { pid } of store.records('supervisor')) kill(pid);
    const counts = await store.counts();
    assert.deepEqual([counts.activeWorkers, counts.processing], [2, 2]);
    let isStopped = false;
    const stopped = store.ok('worker-stop', '--json').then((text) => {
      isStopped = true;
      return text;
    });
    // Once this one has begun, so has the one above, which says nothing until it ends.
    const another = await store.start('Stopping all workers', 'worker-stop');
    assert.equal((await store.counts()).activeWorkers, 2);
    await store.ok('enqueue', 'touch later');
    assert.equal(isStopped, false);
    store.go();
    assert.equal(await stopped, '{"stopped":2}\n');
    assert.equal(await another.ended, 0);
    assert.deepEqual(
      store.processes().filter(({ pid }) => workers.includes(pid)),
      [],
    );
    const { activeWorkers, completed, pending } = await store.counts();
    assert.deepEqual([activeWorkers, completed, pending], [0, 2, 1]);
    assert.equal(store.has('later'), false);
  });

  storeTest(`what is stopped as a whole for ${PAUSE_MS / 1000} seconds goes on`, async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '100');
    const exclusive = 'exec 9> held.$QUEUECTL_JOB_ID; flock -n 9 || echo x >> twice; echo x >> began';
    const ids = numbers(60);
    await store.enqueue(...ids.map((id) => ({ id, command: `${exclusive}; sleep 0.3; echo ${id} >> ran` })));
    await store.startWorkers('--count', '3', '--concurrency', '2');
    await waitFor(() => store.lines('began').length > 10);
    const late = numbers(5).map((at) => store.run(['enqueue', '--id', `late-${at}`, 'true']));
    await delay(100); // somewhere in the midst of what they do
    const stopped = store.processes();
    for (const { pid } of stopped) kill(pid, 'SIGSTOP');
    const beginning = store.lines('began').length;
    await delay(PAUSE_MS);
    assert.equal(await store.ok('enqueue', '--id', 'meanwhile', 'true'), 'Job enqueued with ID: meanwhile\n');
    assert.ok((await store.counts()).activeWorkers > 0, 'they live');
    assert.equal(store.lines('began').length, beginning);
    for (const { pid } of stopped) kill(pid, 'SIGCONT');
    for (const { code } of await Promise.all(late)) assert.equal(code, 0);
    await waitFor(() => store.completed() === ids.length + 6);
    await store.ok('worker-stop');
    assert.deepEqual(store.lines('twice'), []);
    assert.deepEqual([...new Set(store.lines('ran'))].sort(), ids.sort());
    assert.deepEqual([...new Set(store.queue().map(({ attempts }) => attempts))], [1]);
  });

  storeTest('workers that are started and stopped at once leave nobody behind', async (store) => {
    await store.enqueue(...numbers(40).map(() => ({ command: 'sleep 0.05' })));
    for (let round = 0; round < 4; round++) {
      // A worker-stop looks at some moment of a worker-start: whom it finds it stops, and the others stay.
      const [one, two] = await Promise.all([
        start(store),
        start(store),
        store.ok('worker-stop', '--json'),
        store.ok('worker-stop', '--json', '--now'),
      ]);
      const pids = [...one, ...two];
      const { activeWorkers } = await store.counts();
      assert.equal(activeWorkers, store.processes().filter(({ pid }) => pids.includes(pid)).length);
      const last = JSON.parse(await store.ok('worker-stop', '--json'));
      assert.deepEqual(last, { stopped: activeWorkers });
      await store.assertNothingLeft();
    }
    const ends = store.queue().map((job) => `${job.state} ${job.attempts}`);
    assert.ok(
      ends.every((end) => end === 'completed 1' || end === 'pending 0'),
      `${new Set(ends)}`,
    );
  });
});

/** @returns the pids of two workers, or none when they were stopped while they started */
async function start(store: TestStore): Promise<number[]> {
  const { code, stdout, stderr } = await store.run(['worker-start', '--count', '2', '--json']);
  if (code === 0) return JSON.parse(stdout).workers.map(({ pid }: { pid: number }) => pid);
  assert.equal(code, 1);
  assert.match(JSON.parse(stderr).error.fact, /^the workers (were stopped|ended) while they started$/);
  return [];
}
