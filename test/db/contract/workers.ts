import assert from 'node:assert/strict';
import type { WorkerRecord } from '../../../db/model/worker.js';
import { T0 } from '../../helpers/jobFactory.js';
import type { TestStore } from '../../helpers/testStore.js';
import type { StoreKind } from './kinds.js';
import { idsOf, topic } from './support.js';

const record = (id: string, pid = 1): WorkerRecord => {
  return { id, role: 'worker', supervisor_id: null, pid, start_time: '1', boot_id: 'boot', started_at: T0 };
};

/** What was registered, without what the store adds. */
async function listed({ workers }: TestStore): Promise<WorkerRecord[]> {
  const { records, unreadable } = await workers.list();
  assert.deepEqual(unreadable, []);
  return records.map(({ heard_of: _, ...known }) => known).sort((a, b) => a.id.localeCompare(b.id));
}

export function describeWorkers(kind: StoreKind): void {
  topic(kind, 'workers', (storeTest) => {
    storeTest('are listed while they are registered', async (store, other) => {
      await store.workers.register(record('w1'));
      await other.workers.register({ ...record('s1'), role: 'supervisor' });
      assert.deepEqual(await listed(other), [{ ...record('s1'), role: 'supervisor' }, record('w1')]);
      await store.workers.unregister('w1');
      await store.workers.unregister('never was');
      assert.deepEqual(idsOf(await listed(other)), ['s1']);
    });

    storeTest('are listed once, as they registered last', async (store) => {
      await store.workers.register(record('w1', 1));
      await store.workers.register(record('w1', 2));
      assert.deepEqual(await listed(store), [record('w1', 2)]);
    });

    storeTest('that are not on record give no sign of life', async (store, other) => {
      await store.workers.register(record('w1'));
      await other.workers.unregister('w1');
      await store.workers.heartbeat('w1');
      assert.deepEqual(await listed(other), []);
    });

    storeTest('keep what this version does not know of them', async (store, other) => {
      const strange = { ...record('w1'), colour: { deep: ['red', null] } };
      await store.workers.register(strange);
      assert.deepEqual(await listed(other), [strange]);
    });
  });
}
