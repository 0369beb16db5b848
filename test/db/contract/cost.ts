/** What a transaction costs does not depend on how long the queue is. */
import assert from 'node:assert/strict';
import type { PendingJob } from '../../../db/model/job.js';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { TestStore } from '../../helpers/testStore.js';
import type { StoreKind } from './kinds.js';
import { topic } from './support.js';

const FEW = 1000;
const MANY = 100_000;
const ROUNDS = 60;
/** Of the medians. With one index wrong it is above 20; on a loaded machine two equal stores are within 2. */
const RATIO_MAX = 6;

const due = (count: number) =>
  Array.from({ length: count }, (_, n) => pendingJob({ id: `due-${n}`, created_at: T0 + n }));
const later = (count: number) =>
  Array.from({ length: count }, (_, n) =>
    pendingJob({ id: `later-${n}`, created_at: T0 - MANY + n, run_at: T0 + 1e9, priority: 5 }),
  );

export function describeCost(kind: StoreKind): void {
  topic(kind, 'cost', (storeTest) => {
    const cases: [what: string, jobs: () => PendingJob[]][] = [
      ['100,000 that are due', () => due(MANY)],
      ['100,000 not yet due in front of 1,000 that are', () => [...later(MANY), ...due(FEW)]],
    ];
    for (const [what, jobs] of cases) {
      storeTest(`a turn, a look at the counts and the next time cost as with 1,000, with ${what}`, async () => {
        const few = await filled(kind, due(FEW));
        const many = await filled(kind, jobs());
        const times = { few: [] as number[], many: [] as number[] };
        for (let round = 0; round < ROUNDS; round++) {
          times.few.push(await timeOf(() => turn(few)));
          times.many.push(await timeOf(() => turn(many)));
        }
        await few.close();
        await many.close();
        const ratio = median(times.many) / median(times.few);
        assert.ok(ratio < RATIO_MAX, `${median(times.many)} ms are ${ratio} times ${median(times.few)} ms`);
      });
    }
  });
}

/** A store with these jobs, as a worker has it after its first turns. */
async function filled(kind: StoreKind, jobs: PendingJob[]): Promise<TestStore> {
  const store = kind.makePlace().open({ role: 'worker', clock: () => T0 + MANY });
  await store.jobs.createJobs(jobs.map((job) => ({ job, hasNewId: true })));
  for (let n = 0; n < 5; n++) await turn(store);
  return store;
}

async function turn(store: TestStore): Promise<void> {
  const now = T0 + MANY;
  await store.transaction(async ({ jobs }) => {
    const job = await jobs.claimNext('w1', now);
    assert.ok(job !== undefined);
    assert.match(job.id, /^due/);
    await jobs.markCompleted(job, now);
    assert.notEqual(await jobs.nextRunAt(), undefined);
  });
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
