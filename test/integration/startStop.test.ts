/** Workers that come and go. */
import assert from 'node:assert/strict';
import { appendFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { waitFor } from '../helpers/waitFor.js';
import { kill, storeTest } from './support.js';

describe('starting and stopping', { concurrency: 2 }, () => {
  storeTest('ten times in a row, with the right counts', async (store) => {
    await store.enqueue(...Array.from({ length: 10 }, () => ({ command: 'sleep 0.1' })));
    for (let time = 0; time < 10; time++) {
      const count = 1 + (time % 2);
      const pids = await store.startWorkers('--count', String(count));
      assert.equal(new Set(pids).size, count);
      assert.equal(await store.ok('worker-stop', '--json'), `{"stopped":${count}}\n`);
      await store.assertNothingLeft();
    }
    assert.equal(store.queue().length, 10);
    const attempts = store.queue().map((job) => `${job.state} ${job.attempts}`);
    assert.ok(attempts.every((ended) => ended === 'completed 1' || ended === 'pending 0'));
  });

  storeTest('twice at the same time: each starts its own workers', async (store) => {
    const [two, one] = await Promise.all([store.startWorkers('--count', '2'), store.startWorkers()]);
    assert.equal(new Set([...two, ...one]).size, 3);
    assert.equal((await store.counts()).activeWorkers, 3);
    const texts = await Promise.all([store.ok('worker-stop'), store.ok('worker-stop')]);
    const [stopped, late] = ['Stopping all workers...\nAll workers stopped.\n', 'No workers are running.\n'];
    assert.ok(texts.includes(stopped), String(texts));
    assert.deepEqual(
      texts.filter((text) => text !== stopped && text !== late),
      [],
    );
    assert.equal((await store.counts()).activeWorkers, 0);
    assert.equal(await store.ok('worker-stop', '--json'), '{"stopped":0}\n');
  });

  storeTest('stopping where no worker ever was makes no store', async (store) => {
    const noQueue = `there is no queue in ${store.shelf.place} yet`;
    assert.deepEqual(await store.run(['worker-stop']), {
      code: 0,
      stdout: 'No workers are running.\n',
      stderr: `queuectl: warning: ${noQueue}\n`,
    });
    assert.deepEqual(await store.run(['worker-stop', '--now', '--json']), {
      code: 0,
      stdout: '{"stopped":0}\n',
      stderr: `${JSON.stringify({ warning: { fact: noQueue } })}\n`,
    });
    assert.equal(store.isThere(), false);
  });

  storeTest('what workers have to say of themselves never fills the disk', async (store) => {
    const [pid = 0] = await store.startWorkers();
    const log = join(store.dataDir, 'workers/workers.log');
    appendFileSync(log, 'x'.repeat(2_000_000));
    kill(pid);
    await waitFor(() => statSync(log).size < 1000);
    const { size } = statSync(`${log}.1`);
    assert.ok(size > 500_000 && size <= 1_000_000, `${size} bytes`);
    rmSync(`${log}.1`);
    await waitFor(() => store.records('worker').some((record) => record.pid !== pid));
    await store.ok('worker-stop');
  });

  storeTest('background workers tell their pids, and a foreground one stays', async (store) => {
    const text = await store.ok('worker-start', '--count', '2');
    const pids = [...text.matchAll(/^Worker \d started with PID: (\d+)$/gm)].map(([, pid]) => Number(pid));
    assert.match(text, /^Starting 2 worker processes\.\.\.\nWorker 1 started with PID: \d+\nWorker 2 started/);
    assert.deepEqual(
      store
        .records('worker')
        .map(({ pid }) => pid)
        .sort(),
      pids.sort(),
    );
    const foreground = await store.startForeground('worker', 'start', '--foreground');
    assert.equal((await store.counts()).activeWorkers, 3);
    assert.equal(await store.ok('worker-stop', '--json'), '{"stopped":3}\n');
    assert.equal(await foreground.ended, 0);
  });
});
