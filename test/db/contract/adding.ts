import assert from 'node:assert/strict';
import { DEFAULT_CONFIG } from '../../../db/model/settings.js';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { StoreKind } from './kinds.js';
import { bury, idsOf, isDuplicate, topic } from './support.js';

export function describeAdding(kind: StoreKind): void {
  topic(kind, 'an empty store', (storeTest) => {
    storeTest('has no jobs, no dead jobs, no workers, and the default settings', async (store) => {
      assert.deepEqual(await store.jobs.listJobs(), []);
      assert.deepEqual(await store.jobs.countJobs(), { pending: 0, processing: 0, completed: 0, failed: 0, dead: 0 });
      assert.equal(await store.jobs.getJob('x'), undefined);
      assert.equal(await store.jobs.nextRunAt(), undefined);
      assert.deepEqual(await store.store.read((reader) => reader.runnable({ now: T0, limit: 9 })), []);
      assert.equal(await store.jobs.claimNext('w1', T0), undefined);
      assert.deepEqual(await store.dlq.listDLQ(), []);
      assert.equal(await store.dlq.retryFromDLQ('x', T0), undefined);
      const { records, unreadable } = await store.workers.list();
      assert.deepEqual([records, unreadable], [[], []]);
      assert.deepEqual(await store.config.getAllConfig(), DEFAULT_CONFIG);
    });
  });

  topic(kind, 'adding', (storeTest) => {
    storeTest('keeps the record as it is', async (store, other) => {
      const job = pendingJob({ id: 'a', priority: -3, cwd: '/tmp/with space', timeout: 1.5, attempts_before: 4 });
      await store.jobs.createJob(job);
      for (const handle of [store, other]) {
        assert.deepEqual(await handle.jobs.getJob(job.id), job);
        assert.deepEqual(await handle.jobs.listJobs(), [job]);
      }
    });

    storeTest('refuses an id that is in the queue', async (store, other) => {
      const job = pendingJob({ id: 'twice' });
      await store.jobs.createJob(job);
      for (const handle of [store, other]) {
        await assert.rejects(
          handle.jobs.createJob(pendingJob({ id: 'twice', command: 'false' })),
          isDuplicate('twice'),
        );
      }
      assert.deepEqual(await other.jobs.listJobs(), [job]);
    });

    storeTest('refuses an id that is in the dead letter queue', async (store, other) => {
      await bury(store, pendingJob({ id: 'dead' }));
      for (const handle of [store, other]) {
        await assert.rejects(handle.jobs.createJob(pendingJob({ id: 'dead' })), isDuplicate('dead'));
      }
      assert.deepEqual(await other.jobs.listJobs(), []);
    });

    storeTest('adds many jobs, each with its own values, or none of them', async (store, other) => {
      const many = [
        pendingJob({ id: 'a' }),
        pendingJob({ id: 'b', command: 'echo "b"' }),
        pendingJob({ id: 'c', max_retries: 9 }),
        pendingJob({ id: 'd', max_retries: 9, priority: 2 }),
        pendingJob({ id: 'e' }),
      ];
      await store.jobs.createJobs(many.map((job) => ({ job, hasNewId: true })));
      assert.deepEqual(await other.jobs.listJobs(), many);
      for (const taken of ['c', 'new']) {
        const jobs = ['new', 'newer', taken].map((id) => ({ job: pendingJob({ id }), hasNewId: false }));
        await assert.rejects(other.jobs.createJobs(jobs), isDuplicate(taken));
      }
      for (const handle of [store, other]) assert.deepEqual(await handle.jobs.listJobs(), many);
    });

    storeTest('is not misled by an id that stands in another field', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a', command: 'b', last_error: '"b"' }));
      await other.jobs.createJob(pendingJob({ id: 'b' }));
      assert.deepEqual(idsOf(await store.jobs.listJobs()), ['a', 'b']);
    });

    storeTest('refuses an id that another handle has just added', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      await other.jobs.createJob(pendingJob({ id: 'b' }));
      await assert.rejects(store.jobs.createJob(pendingJob({ id: 'b' })), isDuplicate('b'));
    });

    storeTest('takes none, and changes nothing', async (store, other) => {
      await store.jobs.createJobs([]);
      assert.deepEqual(await other.jobs.listJobs(), []);
    });
  });
}
