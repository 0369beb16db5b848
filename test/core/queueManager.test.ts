import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { QueueManager } from '../../core/queueManager.js';
import type { ProcessingJob } from '../../db/model/job.js';
import type { ConfigKey } from '../../db/model/settings.js';
import { T0 } from '../helpers/jobFactory.js';
import { tempStore } from '../helpers/tempStore.js';
import { fileStore } from '../helpers/testStore.js';

/** A queue on an empty store, and a clock that stands still until it is set. */
function openQueue() {
  const dir = tempStore();
  const clock = { now: T0 };
  const { store } = fileStore(dir, { clock: () => clock.now });
  return { queue: new QueueManager(store), store, clock };
}

async function claim(queue: QueueManager, workerId = 'w1'): Promise<ProcessingJob> {
  const job = await queue.getNextJob(workerId);
  assert.ok(job, 'a job is runnable');
  return job;
}

describe('enqueue', () => {
  test('fills in what the caller does not say', async () => {
    const { queue } = openQueue();
    const job = await queue.enqueue({ command: 'true' });
    const { id, ...rest } = job;
    assert.match(id, /^[a-z0-9]+-[0-9a-f]{16}$/);
    assert.deepEqual(rest, {
      command: 'true',
      state: 'pending',
      attempts: 0,
      max_retries: 3,
      run_at: T0,
      created_at: T0,
      updated_at: T0,
      processing_started_at: null,
      worker_id: null,
      last_error: null,
    });
    assert.deepEqual(await queue.list(), [job]);
  });

  test('keeps what the caller says', async () => {
    const { queue } = openQueue();
    const input = { id: 'a', command: 'true', max_retries: 0, run_at: T0, priority: -2, cwd: '/' };
    assert.deepEqual(await queue.enqueue(input), { ...(await queue.get('a')), ...input });
  });

  test('gives the configured retries to jobs that come after the setting', async () => {
    const { queue } = openQueue();
    const before = await queue.enqueue({ command: 'true' });
    await queue.setConfig('max_retries', 9);
    const after = await queue.enqueue({ command: 'true' });
    assert.deepEqual([before.max_retries, after.max_retries], [3, 9]);
  });

  test('makes ids that differ within a millisecond and sort by time', async () => {
    const { queue, clock } = openQueue();
    const first = await queue.enqueueAll(Array.from({ length: 1000 }, () => ({ command: 'true' })));
    clock.now += 1;
    const later = await queue.enqueue({ command: 'true' });
    assert.equal(new Set(first.map(({ id }) => id)).size, 1000);
    assert.ok(first.every(({ id }) => id < later.id));
  });

  test('adds all jobs or none', async () => {
    const { queue } = openQueue();
    await queue.enqueue({ id: 'taken', command: 'true' });
    const inputs = [
      { id: 'free', command: 'true' },
      { id: 'taken', command: 'true' },
    ];
    await assert.rejects(queue.enqueueAll(inputs), {
      code: 'DUPLICATE_ID',
      fact: 'the id "taken" is taken',
      data: { id: 'taken' },
    });
    assert.deepEqual(
      (await queue.list()).map(({ id }) => id),
      ['taken'],
    );
  });
});

describe('a turn', () => {
  test('settles each attempt as its outcome says, and claims for the free slots', async () => {
    const { queue, clock } = openQueue();
    const names = ['good', 'bad', 'last', 'back'];
    await queue.enqueueAll(names.map((id) => ({ id, command: 'true', max_retries: id === 'last' ? 0 : 3 })));
    await queue.enqueueAll(['next', 'waits'].map((id) => ({ id, command: 'true' })));
    const { claimed, settled } = await queue.takeTurn('w1', [], 4);
    assert.deepEqual(
      claimed.map(({ id }) => id),
      names,
    );
    assert.deepEqual(settled, []);

    clock.now += 100;
    const failure = { kind: 'exited', code: 1, lastLine: '' } as const;
    const outcomes = [{ ...failure, code: 0 }, failure, failure, { kind: 'given back' }] as const;
    const ended = claimed.map((job, at) => ({ job, outcome: outcomes[at] ?? failure }));
    const turn = await queue.takeTurn('w1', ended, 2);
    assert.deepEqual(
      turn.settled.map(({ job, as, error }) => [job.id, as, error]),
      [
        ['good', 'complete', undefined],
        ['bad', 'fail', 'exit code 1'],
        ['last', 'bury', 'exit code 1'],
        ['back', 'release', undefined],
      ],
    );
    assert.deepEqual(
      turn.claimed.map(({ id, attempts }) => [id, attempts]),
      [
        ['back', 1],
        ['next', 1],
      ],
    );
    assert.deepEqual(
      (await queue.list()).map(({ id, state, attempts, run_at }) => [id, state, attempts, run_at - T0]),
      [
        ['good', 'completed', 1, 0],
        ['bad', 'failed', 1, 2100],
        ['back', 'processing', 1, 0],
        ['next', 'processing', 1, 0],
        ['waits', 'pending', 0, 0],
      ],
    );
    assert.deepEqual(
      (await queue.listDLQ()).map(({ id, failed_at }) => [id, failed_at]),
      [['last', T0 + 100]],
    );
  });

  test('with nothing to settle and nothing free claims nothing', async () => {
    const { queue } = openQueue();
    await queue.enqueue({ command: 'true' });
    const { claimed, settled } = await queue.takeTurn('w1', [], 0);
    assert.deepEqual({ claimed, settled }, { claimed: [], settled: [] });
  });

  test('is refused for a job that another worker holds by now', async () => {
    const { queue, clock } = openQueue();
    await queue.enqueue({ id: 'a', command: 'true' });
    const stale = await claim(queue);
    await queue.handleRetry(stale, { kind: 'worker died' });
    clock.now += 2000;
    const current = await claim(queue, 'w2');
    for (const outcome of [
      { kind: 'given back' },
      { kind: 'exited', code: 0, lastLine: '' },
      { kind: 'worker died' },
    ] as const) {
      const { settled } = await queue.takeTurn('w1', [{ job: stale, outcome }], 0);
      assert.deepEqual(
        settled.map(({ as }) => as),
        ['refused'],
      );
    }
    assert.deepEqual(await queue.get('a'), current);
  });
});

test('the end of one attempt does not settle the next of the same worker', async () => {
  const { queue, clock } = openQueue();
  await queue.enqueue({ id: 'a', command: 'true' });
  const first = await claim(queue);
  await queue.handleRetry(first, { kind: 'worker died' });
  clock.now += 2000;
  const second = await claim(queue);
  assert.equal(second.worker_id, first.worker_id);
  for (const code of [0, 1]) {
    assert.equal(await queue.handleRetry(first, { kind: 'exited', code, lastLine: '' }), 'refused');
  }
  assert.deepEqual(await queue.get('a'), second);
  assert.equal(await queue.handleRetry(second, { kind: 'exited', code: 0, lastLine: '' }), 'complete');
});

test('a job that never succeeds runs max_retries + 1 times, after 2, 4 and 8 seconds, and comes back from the DLQ', async () => {
  const { queue, clock } = openQueue();
  await queue.enqueue({ id: 'bad', command: 'false' });
  const waits: number[] = [];
  let lastEnd = T0;
  for (;;) {
    const [job] = await queue.list();
    if (job === undefined) break;
    clock.now = job.run_at - 1;
    assert.equal(await queue.getNextJob('w1'), undefined, 'not before its time');
    clock.now = job.run_at;
    waits.push(clock.now - lastEnd);
    const claimed = await claim(queue);
    assert.equal(claimed.attempts, waits.length);
    clock.now += 50; // the command takes a while
    lastEnd = clock.now;
    const as = await queue.handleRetry(claimed, { kind: 'exited', code: 1, lastLine: 'no' });
    assert.equal(as, waits.length === 4 ? 'bury' : 'fail');
  }
  assert.deepEqual(waits, [0, 2000, 4000, 8000]);
  assert.deepEqual(
    (await queue.listDLQ()).map(({ attempts, error }) => [attempts, error]),
    [[4, 'exit code 1: no']],
  );
  assert.deepEqual(await queue.counts(), { pending: 0, processing: 0, completed: 0, failed: 0, dead: 1 });
  assert.deepEqual(await queue.get('bad'), (await queue.list('dead'))[0]);

  clock.now += 1000;
  const back = await queue.retryFromDLQ('bad');
  assert.deepEqual([back.state, back.attempts, back.max_retries, back.run_at], ['pending', 0, 3, clock.now]);
  assert.equal((await claim(queue)).attempts, 1);
  await assert.rejects(queue.retryFromDLQ('bad'), {
    code: 'NOT_FOUND',
    data: { id: 'bad' },
    message: 'no job "bad" in the dead letter queue. List its jobs with `queuectl dlq-list`.',
  });
});

test('input is checked here, whoever calls, and an error says which job and which field', async () => {
  const { queue } = openQueue();
  const data = { field: 'max_retries' };
  const bad = { command: 'true', max_retries: -1 };
  await assert.rejects(queue.enqueue(bad), { code: 'INVALID', data });
  await assert.rejects(queue.enqueueAll([{ command: 'true' }, bad]), { code: 'INVALID', data: { ...data, index: 1 } });
  await assert.rejects(queue.enqueue({ command: 'true', run_at: 1_764_000_000 }), {
    code: 'INVALID',
    data: { field: 'run_at' },
  });
  assert.deepEqual(await queue.list(), []);
});

describe('setConfig', () => {
  const accepted: [key: ConfigKey, value: number][] = [
    ['max_retries', 0],
    ['backoff_base', 1.5],
    ['worker_idle_delay', 10],
  ];
  for (const [key, value] of accepted) {
    test(`${key} ${value}`, async () => {
      const { queue } = openQueue();
      await queue.setConfig(key, value);
      assert.equal(await queue.getConfig(key), value);
    });
  }

  const refused: [key: ConfigKey, value: number, fact: string][] = [
    ['max_retries', -1, 'max_retries must be an integer from 0 to 1000, not -1'],
    ['max_retries', 1.5, 'max_retries must be an integer from 0 to 1000, not 1.5'],
    ['max_retries', 1001, 'max_retries must be an integer from 0 to 1000, not 1001'],
    ['backoff_base', 0.5, 'backoff_base must be a number from 1 to 3600, not 0.5'],
    ['backoff_base', Number.POSITIVE_INFINITY, 'backoff_base must be a number from 1 to 3600, not Infinity'],
    ['backoff_base', Number.NaN, 'backoff_base must be a number from 1 to 3600, not NaN'],
    ['worker_idle_delay', 9, 'worker_idle_delay must be an integer from 10 to 3600000 (milliseconds), not 9'],
  ];
  for (const [key, value, fact] of refused) {
    test(`refuses ${key} ${value}`, async () => {
      const { queue } = openQueue();
      const before = await queue.getAllConfig();
      await assert.rejects(queue.setConfig(key, value), {
        code: 'INVALID',
        fact,
        remedy: 'Nothing was changed.',
        data: { field: key },
      });
      assert.deepEqual(await queue.getAllConfig(), before);
    });
  }
});
