import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { pendingJob } from '../../helpers/jobFactory.js';
import { waitFor } from '../../helpers/waitFor.js';
import type { StoreKind } from './kinds.js';
import { topic } from './support.js';

export function describeSubscribing(kind: StoreKind): void {
  topic(kind, 'subscribing', (storeTest) => {
    storeTest('calls back after a change of the queue until it is ended', async (store, other) => {
      await store.jobs.createJob(pendingJob());
      let calls = 0;
      const end = other.store.subscribe(() => {
        calls += 1;
      });
      for (let round = 0; round < 3; round++) {
        const before = calls;
        await store.jobs.createJob(pendingJob());
        await waitFor(() => calls > before);
      }
      end();
      let later = 0;
      const endLater = other.store.subscribe(() => {
        later += 1;
      });
      await delay(20); // what is on its way from before
      const before = calls;
      await store.jobs.createJob(pendingJob());
      await waitFor(() => later > 0);
      endLater();
      assert.equal(calls, before);
    });

    storeTest('calls back when the first job makes the store', async (store, other) => {
      let calls = 0;
      const end = other.store.subscribe(() => {
        calls += 1;
      });
      await store.jobs.createJob(pendingJob());
      await waitFor(() => calls > 0);
      end();
    });
  });
}
