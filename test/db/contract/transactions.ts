import assert from 'node:assert/strict';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { StoreKind } from './kinds.js';
import { bury, claim, everything, idsOf, isDuplicate, topic } from './support.js';

export function describeTransactions(kind: StoreKind): void {
  topic(kind, 'reading', (storeTest) => {
    if (kind.readsWhileOthersWrite) {
      storeTest('shows one moment, whatever others change meanwhile', async (store, other) => {
        await store.jobs.createJob(pendingJob({ id: 'a' }));
        const job = await claim(store);
        const seen = await store.look(async ({ jobs, dlq }) => {
          const before = (await jobs.countJobs()).processing;
          await other.dlq.moveToDLQ(job, 'exit code 1', T0);
          return [before, (await dlq.listDLQ()).length, (await jobs.listJobs()).length];
        });
        assert.deepEqual(seen, [1, 0, 1]);
        assert.equal((await store.dlq.listDLQ()).length, 1);
      });
    }

    storeTest('hands on what its work throws, and goes on', async (store) => {
      const failure = new Error('no');
      const attempt = store.look(async () => {
        throw failure;
      });
      await assert.rejects(attempt, failure);
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      assert.deepEqual(idsOf(await store.jobs.listJobs()), ['a']);
    });
  });

  topic(kind, 'a transaction', (storeTest) => {
    storeTest('joins verbs: they see each other, and nobody sees half of it', async (store, other) => {
      await bury(store, pendingJob({ id: 'dead', created_at: T0 - 1 }));
      const held = await store.transaction(async ({ jobs, dlq }) => {
        await jobs.createJob(pendingJob({ id: 'a' }));
        assert.equal((await jobs.getJob('a'))?.state, 'pending');
        await jobs.createJob(pendingJob({ id: 'b', priority: 1 }));
        assert.equal((await dlq.retryFromDLQ('dead', T0))?.id, 'dead');
        assert.deepEqual(await jobs.countJobs(), { pending: 3, processing: 0, completed: 0, failed: 0, dead: 0 });
        const first = await jobs.claimNext('w1', T0);
        assert.ok(first !== undefined);
        await dlq.moveToDLQ(first, 'exit code 1', T0);
        assert.equal((await jobs.countJobs()).dead, 1);
        return jobs.claimNext('w1', T0);
      });
      assert.equal(held?.id, 'dead');
      for (const handle of [store, other]) {
        assert.deepEqual(idsOf(await handle.jobs.listJobs('pending')), ['a']);
        assert.deepEqual(idsOf(await handle.jobs.listJobs('processing')), ['dead']);
        assert.deepEqual(idsOf(await handle.dlq.listDLQ()), ['b']);
      }
    });

    storeTest('keeps nothing when its work throws', async (store, other) => {
      await bury(store, pendingJob({ id: 'dead' }));
      await store.jobs.createJob(pendingJob({ id: 'held' }));
      const held = await claim(store);
      const before = await everything(store);
      const failure = new Error('no');
      const attempt = store.transaction(async ({ jobs, dlq }) => {
        await jobs.createJob(pendingJob({ id: 'a' }));
        assert.equal(await jobs.markCompleted(held, T0), true);
        assert.equal((await dlq.retryFromDLQ('dead', T0))?.id, 'dead');
        throw failure;
      });
      await assert.rejects(attempt, failure);
      for (const handle of [store, other]) assert.deepEqual(await everything(handle), before);
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      assert.deepEqual(idsOf(await other.jobs.listJobs()), ['held', 'a']);
      assert.equal((await claim(other)).id, 'a');
    });

    storeTest('adds all jobs or none', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'taken' }));
      for (const ids of [
        ['a', 'b', 'taken'],
        ['a', 'b', 'a'],
      ]) {
        const attempt = other.transaction(async ({ jobs }) => {
          for (const id of ids) await jobs.createJob(pendingJob({ id }));
        });
        await assert.rejects(attempt, isDuplicate(ids[2] ?? ''));
        for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['taken']);
      }
    });

    storeTest('goes on when its work has dealt with a refusal', async (store, other) => {
      await other.jobs.createJob(pendingJob({ id: 'taken' }));
      await store.transaction(async ({ jobs }) => {
        await jobs.createJob(pendingJob({ id: 'a' }));
        await assert.rejects(jobs.createJob(pendingJob({ id: 'taken' })), isDuplicate('taken'));
        await assert.rejects(jobs.createJob(pendingJob({ id: 'a' })), isDuplicate('a'));
      });
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['taken', 'a']);
      await store.jobs.createJob(pendingJob({ id: 'b' }));
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['taken', 'a', 'b']);
    });

    storeTest('may change nothing', async (store) => {
      assert.equal(await store.transaction(async ({ jobs }) => (await jobs.listJobs()).length), 0);
    });

    for (const durability of ['on disk', 'soon'] as const) {
      storeTest(`is kept when it is to be ${durability}`, async (store, other) => {
        await store.transaction(({ jobs }) => jobs.createJob(pendingJob({ id: 'a' })), durability);
        assert.deepEqual(idsOf(await other.jobs.listJobs()), ['a']);
      });
    }

    storeTest('follows another when several are begun at once', async (store, other) => {
      const jobs = Array.from({ length: 60 }, (_, n) => pendingJob({ id: `${n}`, created_at: T0 + n }));
      await store.jobs.createJobs(jobs.map((job) => ({ job, hasNewId: true })));
      const turns = Array.from({ length: 60 }, (_, n) =>
        (n % 2 === 0 ? store : other).transaction(async ({ jobs }) => (await jobs.claimNext(`w${n}`, T0))?.id),
      );
      assert.equal(new Set(await Promise.all(turns)).size, 60);
      assert.equal((await other.jobs.countJobs()).processing, 60);
    });
  });

  topic(kind, 'closing', (storeTest) => {
    storeTest('leaves nothing undone, and may be done twice', async (store, _other, place) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      assert.equal(await store.close(), undefined);
      assert.equal(await store.close(), undefined);
      const next = place.open();
      assert.deepEqual(idsOf(await next.jobs.listJobs()), ['a']);
      await next.close();
    });
  });
}
