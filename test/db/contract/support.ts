/** What the topics of the contract have in common. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PendingJob, ProcessingJob } from '../../../db/model/job.js';
import type { Repositories } from '../../../db/repositories/index.js';
import { T0 } from '../../helpers/jobFactory.js';
import type { TestStore } from '../../helpers/testStore.js';
import type { Place, StoreKind } from './kinds.js';

/** A test with an empty store, and a second handle on it. */
export type StoreTest = (
  title: string,
  run: (store: TestStore, other: TestStore, place: Place) => Promise<void>,
) => void;

/** A part of the contract. */
export function topic(kind: StoreKind, name: string, define: (storeTest: StoreTest) => void): void {
  describe(`${kind.name}: ${name}`, () => {
    define((title, run) => {
      test(title, async () => {
        const place = kind.makePlace();
        const store = place.open();
        const other = place.open();
        try {
          await run(store, other, place);
        } finally {
          assert.equal(await store.close(), undefined);
          assert.equal(await other.close(), undefined);
        }
      });
    });
  });
}

export const isDuplicate = (id: string) => ({ code: 'DUPLICATE_ID', fact: `the id ${JSON.stringify(id)} is taken` });

/** Claims the job that is next, which there must be. */
export async function claim({ jobs }: Repositories, now = T0, workerId = 'w1'): Promise<ProcessingJob> {
  const job = await jobs.claimNext(workerId, now);
  assert.ok(job !== undefined);
  return job;
}

export async function completeAll({ jobs }: Repositories): Promise<void> {
  for (let job = await jobs.claimNext('w3', T0 + 99); job !== undefined; job = await jobs.claimNext('w3', T0 + 99)) {
    await jobs.markCompleted(job, T0 + 99);
  }
}

/** Adds a job and buries it; no other may be runnable. */
export async function bury(store: Repositories, job: PendingJob): Promise<void> {
  await store.jobs.createJob(job);
  assert.equal(await store.dlq.moveToDLQ(await claim(store), 'exit code 1', T0), true);
}

export async function everything({ jobs, dlq }: Repositories) {
  return {
    jobs: await jobs.listJobs(),
    counts: await jobs.countJobs(),
    dead: await dlq.listDLQ(),
  };
}

export const idsOf = (records: readonly { readonly id: string }[]): string[] => records.map(({ id }) => id);
