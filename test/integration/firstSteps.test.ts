/** What a newcomer types, and what is on disk afterwards. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { DEFAULT_CONFIG } from '../../db/model/settings.js';
import { assertWithin } from '../helpers/assertWithin.js';
import { waitFor } from '../helpers/waitFor.js';
import { storeTest, UNTIL_GO } from './support.js';

/** How much later than asked for a command may begin. */
const LATE_MS = 1900;

async function assertDelay(actualMs: number, wantedMs: number): Promise<void> {
  assert.ok(actualMs > wantedMs - 20, `${actualMs} ms is less than ${wantedMs}`);
  await assertWithin(actualMs, wantedMs + LATE_MS, `what was to begin after ${wantedMs} ms`);
}

describe('first steps', { concurrency: 4 }, () => {
  storeTest(
    'one job succeeds; one fails, is retried after 2 and 4 seconds, and dies of its third attempt',
    async (store) => {
      assert.equal(await store.ok('enqueue', '{"id":"ok1","command":"echo success"}'), 'Job enqueued with ID: ok1\n');
      const fail1 = { id: 'fail1', command: 'echo sorry; : > fail1.$QUEUECTL_ATTEMPT; exit 3', max_retries: 2 };
      assert.equal(await store.ok('enqueue', JSON.stringify(fail1)), 'Job enqueued with ID: fail1\n');
      const workers = await store.startForeground('worker', 'start', '--count', '1', '--foreground');
      await waitFor(() => store.dead().length === 1);
      process.kill(workers.pid, 'SIGTERM');
      assert.equal(await workers.ended, 0);

      await assertDelay(store.timeOf('fail1.2') - store.timeOf('fail1.1'), 2000);
      await assertDelay(store.timeOf('fail1.3') - store.timeOf('fail1.2'), 4000);
      assert.equal(store.has('fail1.4'), false);
      assert.deepEqual(
        store.queue().map(({ id, state, attempts, last_error }) => ({ id, state, attempts, last_error })),
        [{ id: 'ok1', state: 'completed', attempts: 1, last_error: null }],
      );
      assert.deepEqual(
        store.dead().map(({ id, attempts, max_retries, error }) => ({ id, attempts, max_retries, error })),
        [{ id: 'fail1', attempts: 3, max_retries: 2, error: 'exit code 3: sorry' }],
      );
      const { pending, processing, completed, failed, dead } = await store.counts();
      assert.deepEqual([pending, processing, completed, failed, dead], [0, 0, 1, 0, 1]);
    },
  );

  storeTest('a job with a run_at in 2 seconds runs then', async (store) => {
    const run_at = Date.now() + 2000;
    await store.ok('enqueue', JSON.stringify({ id: 'later', command: ': > later', run_at }));
    assert.equal(store.job('later').run_at, run_at);
    await store.startWorkers();
    await waitFor(() => store.has('later'));
    await store.ok('worker-stop');
    await assertDelay(store.timeOf('later') - run_at, 0);
    const { state, attempts } = store.job('later');
    assert.deepEqual({ state, attempts }, { state: 'completed', attempts: 1 });
  });

  storeTest('ten jobs typed one after the other run once each on three workers', async (store) => {
    await store.startWorkers('--count', '3');
    for (let at = 0; at < 10; at++) {
      await store.ok('enqueue', `echo ${at} >> ran`);
    }
    await waitFor(() => store.lines('ran').length >= 10);
    await store.ok('worker-stop');
    assert.deepEqual(store.lines('ran').sort(), [...'0123456789']);
    const ends = store.queue().map(({ state, attempts }) => `${state} ${attempts}`);
    assert.deepEqual(
      ends,
      Array.from({ length: 10 }, () => 'completed 1'),
    );
  });

  storeTest('a job that died of the configured retries comes back with no attempts', async (store) => {
    assert.equal(await store.ok('config-set', 'max_retries', '2'), '⚙️ Config updated: max_retries = 2\n');
    await store.ok('config', 'set', 'backoff_base', '1');
    await store.ok('enqueue', '{"id":"bad-job","command":"echo x >> ran; exit 1"}');
    await store.startWorkers();
    await waitFor(() => store.lines('ran').length === 3);
    await store.ok('worker-stop');
    assert.deepEqual(store.queue(), []);
    assert.deepEqual(JSON.parse(await store.ok('dlq-list')), store.dead());
    assert.deepEqual(
      store.dead().map(({ id, attempts, error }) => [id, attempts, error]),
      [['bad-job', 3, 'exit code 1']],
    );

    assert.equal(await store.ok('dlq-retry', 'bad-job'), "Job 'bad-job' moved back to queue for retry.\n");
    assert.deepEqual(store.dead(), []);
    assert.deepEqual(JSON.parse(await store.ok('list', '--state', 'pending')), store.queue());
    const { state, attempts, max_retries, run_at } = store.job('bad-job');
    assert.deepEqual({ state, attempts, max_retries }, { state: 'pending', attempts: 0, max_retries: 2 });
    assert.ok(run_at <= Date.now());
  });

  storeTest('settings are kept in config.json under their own names', async (store) => {
    assert.equal(await store.ok('config', 'set', 'backoff_base', '3'), '⚙️ Config updated: backoff_base = 3\n');
    assert.equal(await store.ok('config', 'get', 'backoff_base'), 'backoff_base: 3\n');
    assert.equal(await store.ok('config', 'set', 'max_retries_default', '5'), '⚙️ Config updated: max_retries = 5\n');
    assert.equal(
      await store.ok('config', 'get'),
      'max_retries: 5\nbackoff_base: 3\nbackoff_max: 86400\nbackoff_jitter: 0\njob_timeout: 0\nkill_grace: 5\nlog_max_bytes: 100000000\nworker_idle_delay: 2000\n',
    );
    assert.deepEqual(store.config(), { ...DEFAULT_CONFIG, max_retries: 5, backoff_base: 3 });
    await store.ok('enqueue', '{"id":"a","command":"true"}');
    assert.equal(store.job('a').max_retries, 5);
  });

  storeTest('status counts the job that runs, and worker-stop waits for it', async (store) => {
    await store.ok('enqueue', JSON.stringify({ id: 'slow', command: `: > begun; ${UNTIL_GO}; sleep 1; : > finished` }));
    await store.startWorkers('--count', '2');
    await waitFor(() => store.has('begun'));
    const expected = { activeWorkers: 2, pending: 0, processing: 1, completed: 0, failed: 0, dead: 0 };
    assert.deepEqual(await store.counts(), expected);
    const stop = await store.start('Stopping all workers', 'worker-stop');
    await waitFor(() => stop.output().includes('Waiting for'));
    store.go();
    assert.equal(await stop.ended, 0);
    assert.deepEqual(stop.output().split('\n').sort(), [
      '',
      'All workers stopped.',
      'Stopping all workers...',
      'Waiting for a job that runs: slow. `queuectl worker-stop --now` ends what runs.',
    ]);
    assert.equal(store.has('finished'), true);
    const { state, attempts } = store.job('slow');
    assert.deepEqual({ state, attempts }, { state: 'completed', attempts: 1 });
  });
});
