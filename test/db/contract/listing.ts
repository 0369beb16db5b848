import assert from 'node:assert/strict';
import { JOB_STATES, type JobState } from '../../../db/model/job.js';
import type { JobQuery } from '../../../db/store.js';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { TestStore } from '../../helpers/testStore.js';
import type { StoreKind } from './kinds.js';
import { claim, idsOf, topic } from './support.js';

const STATES = { pending: 'p', processing: 'r', completed: 'c', failed: 'f', dead: 'd' } as const;

/** A job of each state: the one that is pending was added first, the dead one last. */
async function addOneOfEach(store: TestStore): Promise<void> {
  const added = ['p', 'r', 'f', 'c', 'd'];
  for (const id of added) {
    await store.jobs.createJob(pendingJob({ id, created_at: T0 + added.indexOf(id), priority: added.indexOf(id) }));
  }
  await store.dlq.moveToDLQ(await claim(store), 'exit code 1', T0);
  await store.jobs.markCompleted(await claim(store), T0);
  await store.jobs.reschedule(await claim(store), { runAt: T0 + 5, error: 'exit code 1' }, T0);
  await claim(store);
}

const found = async (store: TestStore, query: JobQuery) => {
  const jobs = await store.store.read((reader) => reader.jobs(query));
  return idsOf(jobs.map(({ record }) => record));
};

export function describeListing(kind: StoreKind): void {
  topic(kind, 'listing and counting', (storeTest) => {
    storeTest('lists the oldest first, whenever it was added', async (store, other) => {
      for (const [id, created_at] of Object.entries({ c: T0 + 3, a: T0, d: T0 + 3, b: T0 + 1 })) {
        await store.jobs.createJob(pendingJob({ id, created_at }));
      }
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['a', 'b', 'c', 'd']);
    });

    storeTest('lists and counts by state', async (store, other) => {
      await addOneOfEach(store);
      for (const handle of [store, other]) {
        assert.deepEqual(await handle.jobs.countJobs(), {
          pending: 1,
          processing: 1,
          completed: 1,
          failed: 1,
          dead: 1,
        });
        const counts = await handle.store.read((reader) => reader.count());
        for (const state of JOB_STATES) {
          assert.equal(counts.get(state), 1);
          assert.deepEqual(idsOf(await handle.jobs.listJobs(state)), [STATES[state]]);
        }
        assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['p', 'r', 'f', 'c']);
      }
    });

    storeTest('counts anew when a job changes its state, comes or goes', async (store, other) => {
      await addOneOfEach(store);
      await other.dlq.retryFromDLQ('d', T0);
      await store.store.transaction(async (tx) => {
        const before = (await tx.get('jobs', 'c')) ?? null;
        assert.deepEqual(await tx.write('jobs', [{ id: 'c', before, after: null }]), []);
        const counts = await tx.count();
        assert.deepEqual([counts.get('completed') ?? 0, counts.get('dead') ?? 0, counts.get('pending')], [0, 0, 2]);
      }, 'soon');
      assert.deepEqual(await other.jobs.countJobs(), { pending: 2, processing: 1, completed: 0, failed: 1, dead: 0 });
    });

    storeTest(
      'gives the states that are asked for, in the order that is asked for, and no more',
      async (store, other) => {
        await addOneOfEach(store);
        const states = (...names: JobState[]) => ({ states: names });
        for (const handle of [store, other]) {
          const all = await found(handle, {});
          assert.deepEqual(all, ['p', 'r', 'f', 'c', 'd']);
          assert.deepEqual(await found(handle, { order: 'created', limit: 3 }), ['p', 'r', 'f']);
          assert.deepEqual(await found(handle, { order: 'changed' }), ['p', 'd', 'c', 'f', 'r']);
          assert.deepEqual(await found(handle, { order: 'changed', limit: 2 }), ['p', 'd']);
          assert.deepEqual(await found(handle, { ...states('completed', 'pending'), limit: 9 }), ['p', 'c']);
          assert.deepEqual(await found(handle, { ...states('dead', 'failed', 'pending'), limit: 2 }), ['p', 'f']);
          assert.deepEqual(await found(handle, { ...states('processing', 'dead'), order: 'changed' }), ['d', 'r']);
          assert.deepEqual(await found(handle, { states: [] }), []);
          assert.deepEqual(await found(handle, { limit: 0 }), []);
        }
      },
    );

    storeTest('tells a higher number for every change', async (store) => {
      let last = -1;
      const changes = [
        () => store.jobs.createJob(pendingJob({ id: 'a' })),
        () => claim(store),
        async () => store.jobs.release(await claimOf(store), T0),
        async () => store.dlq.moveToDLQ(await claim(store), 'exit code 1', T0),
        () => store.dlq.retryFromDLQ('a', T0),
      ];
      for (const change of changes) {
        await change();
        const { seq = -1 } = (await store.store.read((reader) => reader.get('jobs', 'a'))) ?? {};
        assert.ok(seq > last, `${seq} after ${last}`);
        last = seq;
      }
    });
  });
}

async function claimOf(store: TestStore) {
  const job = await store.jobs.getJob('a');
  assert.ok(job?.state === 'processing');
  return job;
}
