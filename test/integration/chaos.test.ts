/** Everything at once, and processes that are killed at any moment. `npm run chaos` kills for longer. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe } from 'node:test';
import { Storm } from '../../scripts/chaos/storm.js';
import { waitFor } from '../helpers/waitFor.js';
import { kill, storeTest, type TestStore, UNTIL_GO } from './support.js';

const numbers = (count: number) => Array.from({ length: count }, (_, at) => String(at));

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
