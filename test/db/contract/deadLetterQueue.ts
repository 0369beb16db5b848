import assert from 'node:assert/strict';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { StoreKind } from './kinds.js';
import { bury, claim, idsOf, topic } from './support.js';

export function describeDeadLetterQueue(kind: StoreKind): void {
  topic(kind, 'the dead letter queue', (storeTest) => {
    storeTest('takes a job out of the queue, and keeps what it was', async (store, other) => {
      const job = pendingJob({ id: 'a', priority: 4, cwd: '/tmp', created_at: T0 - 5 });
      await store.jobs.createJob(job);
      assert.equal(await store.dlq.moveToDLQ(await claim(store), 'exit code 7', T0 + 2), true);
      const entry = {
        id: 'a',
        command: job.command,
        attempts: 1,
        max_retries: job.max_retries,
        error: 'exit code 7',
        failed_at: T0 + 2,
        created_at: T0 - 5,
        priority: 4,
        cwd: '/tmp',
      };
      const dead = {
        ...job,
        state: 'dead',
        attempts: 1,
        run_at: T0 + 2,
        updated_at: T0 + 2,
        last_error: 'exit code 7',
      };
      for (const handle of [store, other]) {
        assert.deepEqual(await handle.dlq.listDLQ(), [entry]);
        assert.deepEqual(await handle.jobs.getJob('a'), dead);
        assert.deepEqual(await handle.jobs.listJobs('dead'), [dead]);
        assert.deepEqual(await handle.jobs.listJobs(), []);
      }
    });

    storeTest('lists its jobs in the order they were buried', async (store, other) => {
      for (const id of ['b', 'c', 'a']) await bury(store, pendingJob({ id }));
      await store.dlq.retryFromDLQ('b', T0);
      await store.dlq.moveToDLQ(await claim(store), 'again', T0);
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.dlq.listDLQ()), ['c', 'a', 'b']);
    });

    storeTest('gives a job back, to run at once, with its retries before it', async (store, other) => {
      const job = pendingJob({ id: 'a', priority: 4, cwd: '/tmp', created_at: T0 - 5 });
      await bury(store, job);
      const back = await other.dlq.retryFromDLQ('a', T0 + 50);
      const times = { run_at: T0 + 50, updated_at: T0 + 50 };
      assert.deepEqual(back, { ...job, ...times, last_error: 'exit code 1', attempts_before: 1 });
      for (const handle of [store, other]) {
        assert.deepEqual(await handle.jobs.getJob('a'), back);
        assert.deepEqual(await handle.dlq.listDLQ(), []);
      }
      assert.equal((await store.jobs.claimNext('w1', T0 + 50))?.attempts, 1);
    });

    storeTest('counts the attempts before each retry', async (store) => {
      await bury(store, pendingJob({ id: 'a' }));
      for (const before of [1, 2, 3]) {
        assert.equal((await store.dlq.retryFromDLQ('a', T0))?.attempts_before, before);
        await store.dlq.moveToDLQ(await claim(store), 'exit code 1', T0);
      }
    });

    storeTest('has a job that is brought back stand behind those of the same age', async (store, other) => {
      await bury(store, pendingJob({ id: 'dead' }));
      for (const id of ['a', 'b']) await store.jobs.createJob(pendingJob({ id }));
      await store.dlq.retryFromDLQ('dead', T0);
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['a', 'b', 'dead']);
      assert.equal((await claim(other)).id, 'a');
    });

    storeTest('knows nothing of a job that is in the queue', async (store) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      assert.equal(await store.dlq.retryFromDLQ('a', T0), undefined);
      assert.deepEqual(await store.dlq.listDLQ(), []);
      assert.deepEqual(idsOf(await store.jobs.listJobs()), ['a']);
    });
  });
}
