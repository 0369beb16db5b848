/** Many at once: slots, workers, writers and readers. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { waitFor } from '../helpers/waitFor.js';
import { storeTest, type TestStore } from './support.js';

const numbers = (count: number) => Array.from({ length: count }, (_, at) => String(at));

describe('concurrency', { concurrency: 2 }, () => {
  storeTest('one worker with four slots runs four jobs at once and never more', async (store) => {
    const ids = numbers(10);
    const untilFour = 'until [ $(ls begin.* | wc -l) -ge 4 ]; do sleep 0.05; done';
    await store.enqueue(
      ...ids.map((id) => ({ id, command: `: > begin.${id}; ${untilFour}; sleep 0.3; : > end.${id}` })),
    );
    await store.startWorkers('--concurrency', '4');
    await waitFor(() => ids.every((id) => store.has(`end.${id}`)));
    await store.ok('worker-stop');
    const begins = ids.map((id) => store.timeOf(`begin.${id}`));
    const ends = ids.map((id) => store.timeOf(`end.${id}`));
    const running = begins.map((at) => begins.filter((begin, job) => begin <= at && at < (ends[job] ?? 0)).length);
    assert.equal(Math.max(...running), 4);
    assert.deepEqual(endings(store), { 'completed 1': 10 });
  });

  storeTest('every job of 20 processes that enqueue at once is run exactly once by three workers', async (store) => {
    await store.startWorkers('--count', '3');
    const ids = numbers(20);
    const texts = await Promise.all(
      ids.map((id) => store.ok('enqueue', JSON.stringify({ id, command: `echo ${id} >> ran` }))),
    );
    assert.deepEqual(
      texts,
      ids.map((id) => `Job enqueued with ID: ${id}\n`),
    );
    await waitFor(() => store.lines('ran').length >= ids.length);
    await store.ok('worker-stop');
    assert.deepEqual(store.lines('ran').sort(), ids.sort());
    assert.deepEqual(endings(store), { 'completed 1': 20 });
  });

  storeTest('whoever looks at the records while 200 jobs are drained always finds whole ones', async (store) => {
    const later = { command: 'true', run_at: Date.now() + 3_600_000 };
    const jobs = numbers(200).map((id) => ({ id, command: `sleep 0.02; echo ${id} >> ran; exit ${Number(id) % 2}` }));
    await store.enqueue(...numbers(3000).map(() => later), ...jobs.map((job) => ({ ...job, max_retries: 0 })));
    await store.ok('config-set', 'worker_idle_delay', '1000'); // so that there are settings
    const seen = { queue: new Set<number>(), dead: new Set<number>(), settings: new Set<number>() };
    let isDrained = false;
    const reading = (async () => {
      while (!isDrained) {
        const [queue, dead, settings] = [store.queue(), store.dead(), store.config()];
        assert.ok(queue.length >= 3100, `${queue.length} jobs`);
        assert.ok(dead.length >= Math.max(0, ...seen.dead), `${dead.length} dead jobs`);
        assert.ok(settings, 'there are settings');
        seen.queue.add(JSON.stringify(queue).length);
        seen.dead.add(dead.length);
        seen.settings.add(JSON.stringify(settings).length);
        await nextTurn();
      }
    })();
    const drained = (async () => {
      await store.startWorkers('--count', '3');
      await store.ok('config-set', 'worker_idle_delay', '100000');
      await waitFor(() => store.lines('ran').length >= 200);
      await store.ok('worker-stop');
      isDrained = true;
    })();
    await Promise.all([reading, drained]);
    for (const [what, seenOf] of Object.entries(seen)) assert.ok(seenOf.size > 1, `${what}: a change was seen`);
    assert.deepEqual(store.lines('ran').sort(), jobs.map(({ id }) => id).sort());
    assert.deepEqual(endings(store), { 'pending 0': 3000, 'completed 1': 100 });
    assert.deepEqual([...new Set(store.dead().map(({ attempts }) => attempts))], [1]);
    assert.equal(store.dead().length, 100);
  });
});

/** How many jobs are in which state after how many attempts. */
function endings(store: TestStore): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { state, attempts } of store.queue()) {
    const ending = `${state} ${attempts}`;
    counts[ending] = (counts[ending] ?? 0) + 1;
  }
  return counts;
}
