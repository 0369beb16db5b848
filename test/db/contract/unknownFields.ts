import assert from 'node:assert/strict';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { StoreKind } from './kinds.js';
import { bury, claim, topic } from './support.js';

const STRANGE = {
  colour: { deep: ['red', null, { x: 1.5 }] },
  empty: '',
  seq: -1,
  place: 'nowhere',
  due: false,
  toString: 'no function',
};

export function describeUnknownFields(kind: StoreKind): void {
  topic(kind, 'fields that this version does not know', (storeTest) => {
    storeTest('survive every change of a job', async (store, other) => {
      const keeps = async (when: string) => {
        for (const handle of [store, other]) {
          const job = await handle.jobs.getJob('a');
          assert.ok(job, when);
          for (const [field, value] of Object.entries(STRANGE))
            assert.deepEqual(Reflect.get(job, field), value, `${field} ${when}`);
        }
      };
      await store.jobs.createJob({ ...pendingJob({ id: 'a' }), ...STRANGE });
      await keeps('added');
      const first = await claim(store);
      await keeps('claimed');
      await other.jobs.release(first, T0);
      await keeps('released');
      await store.jobs.reschedule(await claim(store), { runAt: T0, error: 'exit code 1' }, T0);
      await keeps('failed');
      await other.dlq.moveToDLQ(await claim(other), 'exit code 1', T0);
      await keeps('dead');
      const [entry] = await store.dlq.listDLQ();
      for (const [field, value] of Object.entries(STRANGE)) assert.deepEqual(Reflect.get(entry ?? {}, field), value);
      await store.dlq.retryFromDLQ('a', T0);
      await keeps('revived');
      await other.jobs.markCompleted(await claim(other), T0);
      await keeps('completed');
    });

    storeTest('may be called like those of the other record of a job', async (store, other) => {
      const job = { ...pendingJob({ id: 'a' }), error: 7, failed_at: 'yesterday' };
      await bury(store, job);
      const [dead] = await other.dlq.listDLQ();
      assert.equal(dead?.error, 'exit code 1');
      assert.equal(dead.failed_at, T0);
      const back = await store.dlq.retryFromDLQ('a', T0);
      assert.equal(back?.state, 'pending');
      assert.equal(back.last_error, 'exit code 1');
      assert.deepEqual(await other.jobs.getJob('a'), back);
    });
  });
}
