import assert from 'node:assert/strict';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { StoreKind } from './kinds.js';
import { bury, claim, idsOf, topic } from './support.js';

export function describeClaiming(kind: StoreKind): void {
  topic(kind, 'claiming', (storeTest) => {
    storeTest('takes the highest priority first, then the oldest, then the one added first', async (store, other) => {
      const at = (id: string, created_at: number, priority?: number) =>
        pendingJob({ id, created_at, ...(priority === undefined ? {} : { priority }) });
      for (const job of [
        at('low', T0 - 9, -1),
        at('second', T0 + 1),
        at('third', T0 + 1, 0),
        at('first', T0),
        at('urgent', T0 + 5, 7),
        at('more urgent', T0 + 9, 8),
      ]) {
        await store.jobs.createJob(job);
      }
      const inOrder = ['more urgent', 'urgent', 'first', 'second', 'third', 'low'];
      for (const limit of [1, 4, 9]) {
        const next = await other.store.read((reader) => reader.runnable({ now: T0 + 10, limit }));
        assert.deepEqual(idsOf(next.map(({ record }) => record)), inOrder.slice(0, limit));
        const inside = await store.store.transaction((tx) => tx.runnable({ now: T0 + 10, limit }), 'soon');
        assert.deepEqual(inside, next);
      }
      const order = [];
      for (const handle of [store, other, store, other, store, other]) {
        order.push((await handle.jobs.claimNext('w1', T0 + 10))?.id);
      }
      assert.deepEqual(order, inOrder);
      assert.equal(await store.jobs.claimNext('w1', T0 + 10), undefined);
    });

    storeTest('counts the attempt, notes worker, claim and time, and leaves the rest', async (store, other) => {
      const job = pendingJob({ priority: 2, cwd: '/tmp', last_error: 'exit code 1' });
      await store.jobs.createJob(job);
      const claimed = await store.jobs.claimNext('w1', T0 + 5, 'claim-1');
      const expected = {
        ...job,
        state: 'processing',
        attempts: 1,
        updated_at: T0 + 5,
        processing_started_at: T0 + 5,
        worker_id: 'w1',
        claim_id: 'claim-1',
      };
      assert.deepEqual(claimed, expected);
      assert.deepEqual(await other.jobs.getJob(job.id), expected);
    });

    storeTest('takes no job before its run_at, and takes it from then on', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'later', run_at: T0 + 100, priority: 9 }));
      await store.jobs.createJob(pendingJob({ id: 'now' }));
      assert.equal((await store.jobs.claimNext('w1', T0 + 99))?.id, 'now');
      assert.equal(await store.jobs.claimNext('w1', T0 + 99), undefined);
      assert.equal((await other.jobs.claimNext('w1', T0 + 100))?.id, 'later');
    });

    storeTest('takes a failed job when its next attempt is due', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      await store.jobs.reschedule(await claim(store), { runAt: T0 + 100, error: 'exit code 1' }, T0);
      assert.equal(await other.jobs.claimNext('w2', T0 + 99), undefined);
      const again = await other.jobs.claimNext('w2', T0 + 100);
      assert.equal(again?.attempts, 2);
      assert.equal(again?.worker_id, 'w2');
    });

    storeTest('takes no job that is held, completed or dead', async (store, other) => {
      await bury(store, pendingJob());
      await store.jobs.createJob(pendingJob());
      await store.jobs.markCompleted(await claim(store), T0);
      await store.jobs.createJob(pendingJob());
      await claim(store);
      for (const handle of [store, other]) assert.equal(await handle.jobs.claimNext('w2', T0 + 1e9), undefined);
    });

    storeTest('goes by the time it is told, even when that is set back', async (store) => {
      await store.jobs.createJob(pendingJob({ id: 'a', run_at: T0 + 50 }));
      await store.jobs.createJob(pendingJob({ id: 'b', run_at: T0 + 60, priority: 1 }));
      await store.jobs.createJob(pendingJob({ id: 'c', run_at: T0 + 10 }));
      assert.equal((await store.jobs.claimNext('w1', T0 + 60))?.id, 'b');
      assert.equal((await store.jobs.claimNext('w1', T0 + 20))?.id, 'c');
      assert.equal(await store.jobs.claimNext('w1', T0 + 20), undefined);
      assert.equal(await store.jobs.nextRunAt(), T0 + 50);
      assert.equal((await store.jobs.claimNext('w1', T0 + 50))?.id, 'a');
    });

    storeTest('tells when the next attempt is due', async (store, other) => {
      await store.jobs.createJob(pendingJob({ run_at: T0 + 30 }));
      await store.jobs.createJob(pendingJob({ run_at: T0 + 20, priority: -1 }));
      await store.jobs.createJob(pendingJob({ run_at: T0 }));
      assert.equal(await other.jobs.nextRunAt(), T0);
      const held = await claim(store);
      assert.equal(await store.jobs.nextRunAt(), T0 + 20);
      await store.jobs.reschedule(held, { runAt: T0 + 10, error: 'exit code 1' }, T0);
      for (const handle of [store, other]) assert.equal(await handle.jobs.nextRunAt(), T0 + 10);
      for (const at of [10, 20, 30]) {
        await store.jobs.markCompleted(await claim(store, T0 + at), T0);
      }
      for (const handle of [store, other]) assert.equal(await handle.jobs.nextRunAt(), undefined);
    });

    storeTest('tells of one that is due when several are', async (store) => {
      await store.jobs.createJob(pendingJob({ id: 'a', run_at: T0, priority: 9 }));
      await store.jobs.createJob(pendingJob({ id: 'b', run_at: T0 + 2, priority: 8 }));
      await store.jobs.createJob(pendingJob({ id: 'c', run_at: T0 + 1 }));
      assert.equal((await store.jobs.claimNext('w1', T0 + 5))?.id, 'a');
      const due = await store.jobs.nextRunAt();
      assert.ok(due === T0 + 1 || due === T0 + 2);
    });
  });
}
