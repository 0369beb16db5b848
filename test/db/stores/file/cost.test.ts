import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PendingJob } from '../../../../db/model/job.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { fileStore } from '../../../helpers/testStore.js';
import { onFsCall } from './fsCalls.js';
import { performVerb, type Step, type Verb } from './steps.js';

const VERBS: readonly Verb[] = [
  { verb: 'create', job: pendingJob({ id: 'new-1', priority: 9 }) },
  { verb: 'claim', worker: 'w', now: T0 },
  { verb: 'reschedule', id: 'new-1', worker: 'w', runAt: T0, now: T0 },
  { verb: 'claim', worker: 'w', now: T0 },
  { verb: 'release', id: 'new-1', worker: 'w', now: T0 },
  { verb: 'claim', worker: 'w', now: T0 },
  { verb: 'bury', id: 'new-1', worker: 'w', now: T0 },
  { verb: 'retry', id: 'new-1', now: T0 },
  { verb: 'claim', worker: 'w', now: T0 },
  { verb: 'complete', id: 'new-1', worker: 'w', now: T0 },
];

/** Of a commit: how many there were before, and so how many digits it has, depends on how often the lock was lost. */
const NUMBER = /(?<="seq":)\d+/;

interface Cost {
  readonly step: Step['verb'];
  readonly calls: readonly string[];
  readonly bytes: number;
}

/** What each verb costs in calls and bytes written, on a store that was used before. */
async function costs(jobs: number): Promise<Cost[]> {
  const store = fileStore(tempStore(), { clock: () => T0 });
  const filled: PendingJob[] = Array.from({ length: jobs }, (_, n) => pendingJob({ id: `job-${n}`, run_at: T0 + 1 }));
  await store.transaction(async (repositories) => {
    for (const job of filled) await repositories.jobs.createJob(job);
  });
  await store.jobs.createJob(pendingJob({ id: 'new-0', run_at: T0 + 1 }));
  await store.jobs.claimNext('w', T0); // the first claim makes an index
  const found: Cost[] = [];
  for (const step of VERBS) {
    const calls: string[] = [];
    let bytes = 0;
    const end = onFsCall(({ name, args: [, data] }) => {
      calls.push(name);
      if (name === 'writeSync' && Buffer.isBuffer(data)) bytes += data.toString().replace(NUMBER, '').length;
      return undefined;
    });
    try {
      await performVerb(store, step);
    } finally {
      end();
    }
    found.push({ step: step.verb, calls, bytes });
  }
  await store.close();
  return found;
}

test('a transaction makes the same calls and writes the same bytes with 100 jobs and with 20,000', async () => {
  const few = await costs(100);
  assert.deepEqual(await costs(20_000), few);
  for (const { step, calls, bytes } of few) {
    assert.ok(calls.length < 25, `${step} makes ${calls.length} calls`);
    assert.ok(bytes > 0 && bytes < 1000, `${step} writes ${bytes} bytes`);
  }
});
