import assert from 'node:assert/strict';
import type { Claim, ProcessingJob } from '../../../db/model/job.js';
import type { Repositories } from '../../../db/repositories/index.js';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { StoreKind } from './kinds.js';
import { claim, completeAll, everything, topic } from './support.js';

const VERBS: [verb: string, settle: (store: Repositories, claim: Claim) => Promise<boolean>][] = [
  ['markCompleted', ({ jobs }, claim) => jobs.markCompleted(claim, T0 + 9)],
  ['reschedule', ({ jobs }, claim) => jobs.reschedule(claim, { runAt: T0 + 9, error: 'late' }, T0 + 9)],
  ['release', ({ jobs }, claim) => jobs.release(claim, T0 + 9)],
  ['moveToDLQ', ({ dlq }, claim) => dlq.moveToDLQ(claim, 'late', T0 + 9)],
];

const SITUATIONS: [when: string, arrange: (store: Repositories, held: ProcessingJob) => Promise<unknown>][] = [
  ['another worker has it', async (store, held) => (await store.jobs.release(held, T0)) && claim(store, T0, 'w2')],
  ['its worker has claimed it anew', async (store, held) => (await store.jobs.release(held, T0)) && claim(store)],
  [
    'its worker is at the next attempt',
    async (store, held) => (await store.jobs.reschedule(held, { runAt: T0, error: '' }, T0)) && claim(store),
  ],
  ['it is completed', (store, held) => store.jobs.markCompleted(held, T0)],
  ['it waits for its next attempt', (store, held) => store.jobs.reschedule(held, { runAt: T0, error: '' }, T0)],
  ['it was given back', (store, held) => store.jobs.release(held, T0)],
  ['it is dead', (store, held) => store.dlq.moveToDLQ(held, 'exit code 1', T0)],
  [
    'it was dead and is back',
    async (store, held) => (await store.dlq.moveToDLQ(held, 'exit code 1', T0)) && store.dlq.retryFromDLQ(held.id, T0),
  ],
];

export function describeSettling(kind: StoreKind): void {
  topic(kind, 'settling', (storeTest) => {
    storeTest('markCompleted', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a', last_error: 'exit code 1' }));
      const held = await claim(store, T0 + 1);
      assert.equal(await store.jobs.markCompleted(held, T0 + 2), true);
      const { claim_id: _, ...rest } = held;
      assert.deepEqual(await other.jobs.getJob('a'), {
        ...rest,
        state: 'completed',
        updated_at: T0 + 2,
        worker_id: null,
        last_error: null,
      });
    });

    storeTest('reschedule', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      const held = await claim(store, T0 + 1);
      assert.equal(await store.jobs.reschedule(held, { runAt: T0 + 9, error: 'exit code 7' }, T0 + 2), true);
      const { claim_id: _, ...rest } = held;
      assert.deepEqual(await other.jobs.getJob('a'), {
        ...rest,
        state: 'failed',
        run_at: T0 + 9,
        updated_at: T0 + 2,
        worker_id: null,
        last_error: 'exit code 7',
      });
    });

    storeTest('release gives back a first attempt as if there had been none', async (store, other) => {
      const job = pendingJob({ id: 'a' });
      await store.jobs.createJob(job);
      assert.equal(await store.jobs.release(await claim(store, T0 + 1), T0 + 2), true);
      assert.deepEqual(await other.jobs.getJob('a'), { ...job, updated_at: T0 + 2 });
      assert.equal((await other.jobs.claimNext('w2', T0 + 3))?.attempts, 1);
    });

    storeTest('release gives back a later attempt and keeps why the one before failed', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      await store.jobs.reschedule(await claim(store), { runAt: T0 + 5, error: 'exit code 1' }, T0);
      assert.equal(await store.jobs.release(await claim(store, T0 + 6), T0 + 7), true);
      const job = await other.jobs.getJob('a');
      assert.equal(job?.state, 'failed');
      assert.equal(job.attempts, 1);
      assert.equal(job.worker_id, null);
      assert.equal(job.last_error, 'exit code 1');
      assert.equal((await other.jobs.claimNext('w2', T0 + 7))?.attempts, 2);
    });

    for (const [verb, settle] of VERBS) {
      storeTest(`${verb} is refused whenever the claim no longer holds the job`, async (store, other) => {
        for (const [when, arrange] of SITUATIONS) {
          await store.jobs.createJob(pendingJob({ id: when }));
          const held = await claim(store);
          await arrange(other, held);
          const before = await everything(other);
          assert.equal(await settle(store, held), false, when);
          assert.deepEqual(await everything(other), before, when);
          assert.deepEqual(await everything(store), before, when);
          await completeAll(store);
        }
        assert.equal(await settle(store, { id: 'never was', worker_id: 'w1' }), false);
      });
    }

    storeTest('takes a claim without a number, as version 0.1.0 made it, for just that', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      const { claim_id, ...old } = await claim(store);
      assert.ok(claim_id !== undefined);
      assert.equal(await other.jobs.markCompleted(old, T0), false);
      await store.store.transaction(async (tx) => {
        const before = await tx.get('jobs', 'a');
        assert.ok(before);
        assert.deepEqual(await tx.write('jobs', [{ id: 'a', before, after: old }]), []);
      }, 'soon');
      assert.equal(await other.jobs.markCompleted({ ...old, claim_id }, T0), false);
      assert.equal(await other.jobs.markCompleted(old, T0), true);
    });
  });
}
