import assert from 'node:assert/strict';
import { claimed, type Job } from '../../../db/model/job.js';
import type { Stored, Write } from '../../../db/store.js';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { TestStore } from '../../helpers/testStore.js';
import type { StoreKind } from './kinds.js';
import { claim, everything, idsOf, topic } from './support.js';

/** Writes in a transaction of its own. @returns the ids of what was not as it was */
const write = ({ store }: TestStore, ...writes: Write<Job>[]): Promise<readonly string[]> =>
  store.transaction((tx) => tx.write('jobs', writes), 'soon');

async function read({ store }: TestStore, id: string): Promise<Stored<Job>> {
  const found = await store.read((reader) => reader.get('jobs', id));
  assert.ok(found, `${id} is there`);
  return found;
}

const add = (id: string): Write<Job> => ({ id, before: null, after: pendingJob({ id }) });

export function describeCompareAndSet(kind: StoreKind): void {
  topic(kind, 'compare and set', (storeTest) => {
    storeTest('adds where there is no record, and not where there is one', async (store, other) => {
      assert.deepEqual(await write(store, add('a')), []);
      const before = await everything(store);
      for (const handle of [store, other]) assert.deepEqual(await write(handle, add('a')), ['a']);
      assert.deepEqual(await everything(other), before);
    });

    storeTest('replaces and removes what is as it was read', async (store, other) => {
      await write(store, add('a'));
      const after = await store.store.transaction(async (tx) => {
        const before = await tx.get('jobs', 'a');
        assert.ok(before);
        const after: Job = { ...before.record, updated_at: T0 + 5 };
        assert.deepEqual(await tx.write('jobs', [{ id: 'a', before, after }]), []);
        return after;
      }, 'soon');
      assert.deepEqual(await other.jobs.getJob('a'), after);
      const stale = await other.store.transaction(
        async (tx) => tx.write('jobs', [{ id: 'a', before: (await tx.get('jobs', 'a')) ?? null, after: null }]),
        'soon',
      );
      assert.deepEqual(stale, []);
      for (const handle of [store, other]) {
        assert.equal(await handle.jobs.getJob('a'), undefined);
        assert.deepEqual(await write(handle, { id: 'a', before: null, after: null }), []);
      }
      assert.deepEqual(await write(store, add('a')), []);
    });

    storeTest('refuses what was thought out on an older record', async (store, other) => {
      await write(store, add('a'));
      const before = await read(store, 'a');
      const held = await claim(other);
      const again = { ...before.record, updated_at: T0 + 1 };
      for (const handle of [store, other]) {
        assert.deepEqual(await write(handle, { id: 'a', before, after: again }), ['a']);
        assert.deepEqual(await write(handle, { id: 'a', before, after: null }), ['a']);
        assert.deepEqual(await handle.jobs.getJob('a'), held);
      }
    });

    storeTest('refuses it even when the record is the same again', async (store, other) => {
      await write(store, add('a'));
      const before = await read(store, 'a');
      await other.jobs.release(await claim(other), before.record.updated_at);
      assert.deepEqual(await other.jobs.getJob('a'), before.record);
      assert.deepEqual(await write(store, { id: 'a', before, after: { ...before.record, priority: 1 } }), ['a']);
    });

    storeTest('refuses what was thought out on a record that is gone', async (store, other) => {
      await write(store, add('a'));
      const before = await read(store, 'a');
      await other.store.transaction(
        async (tx) => tx.write('jobs', [{ id: 'a', before: (await tx.get('jobs', 'a')) ?? null, after: null }]),
        'soon',
      );
      assert.deepEqual(await write(store, { id: 'a', before, after: before.record }), ['a']);
      assert.deepEqual(await write(store, { id: 'a', before, after: null }), ['a']);
      assert.equal(await other.jobs.getJob('a'), undefined);
    });

    storeTest('writes all or none, and names each that is not as it was', async (store, other) => {
      for (const id of ['a', 'b', 'c']) await write(store, add(id));
      const stale = await read(store, 'a');
      await claim(other); // a
      const before = await everything(other);
      const refused = await store.store.transaction(async (tx) => {
        const b = await tx.get('jobs', 'b');
        assert.ok(b);
        const writes = [
          add('new'),
          { id: 'b', before: b, after: null },
          { id: 'a', before: stale, after: null },
          add('c'),
          add('newer'),
        ];
        const refused = await tx.write('jobs', writes);
        assert.equal(await tx.get('jobs', 'new'), undefined);
        assert.deepEqual((await tx.get('jobs', 'b'))?.record, b.record);
        assert.deepEqual(await tx.write('jobs', [{ id: 'b', before: b, after: { ...b.record, priority: 1 } }]), []);
        return refused;
      }, 'soon');
      assert.deepEqual(refused, ['a', 'c']);
      const after = await everything(other);
      assert.deepEqual(after.counts, before.counts);
      assert.deepEqual(idsOf(after.jobs), ['a', 'b', 'c']);
    });

    storeTest('refuses a record that stands twice in one call', async (store, other) => {
      await write(store, add('a'));
      const before = await everything(other);
      assert.deepEqual(await write(store, add('b'), add('c'), add('b')), ['b']);
      const twice = await store.store.transaction(async (tx) => {
        const a = (await tx.get('jobs', 'a')) ?? null;
        return tx.write('jobs', [{ id: 'a', before: a, after: null }, add('a')]);
      }, 'soon');
      assert.deepEqual(twice, ['a']);
      for (const handle of [store, other]) assert.deepEqual(await everything(handle), before);
    });

    storeTest('lets every later read of the transaction see a write', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a', run_at: T0 + 50 }));
      await store.store.transaction(async (tx) => {
        const next = async () => idsOf((await tx.runnable({ now: T0, limit: 9 })).map(({ record }) => record));
        assert.deepEqual(await next(), []);
        assert.deepEqual(await tx.write('jobs', [add('b'), add('c')]), []);
        assert.deepEqual(await next(), ['b', 'c']);
        assert.equal(await tx.nextRunAt(), T0);
        const [b] = await tx.runnable({ now: T0, limit: 1 });
        assert.ok(b);
        const held = claimed(b.record, { workerId: 'w1', claimId: '1' }, T0);
        assert.deepEqual(await tx.write('jobs', [{ id: 'b', before: b, after: held }]), []);
        assert.deepEqual((await tx.get('jobs', 'b'))?.record, held);
        assert.deepEqual(await next(), ['c']);
        assert.equal((await tx.count()).get('processing'), 1);
        assert.equal((await tx.jobs({ states: ['processing'] })).length, 1);
        const c = (await tx.get('jobs', 'c')) ?? null;
        assert.deepEqual(await tx.write('jobs', [{ id: 'c', before: c, after: null }]), []);
        assert.deepEqual(await next(), []);
        assert.equal(await tx.nextRunAt(), T0 + 50);
        assert.deepEqual(await tx.write('jobs', [{ id: 'b', before: b, after: null }]), ['b']);
      }, 'soon');
      assert.deepEqual(idsOf(await other.jobs.listJobs()), ['a', 'b']);
    });
  });
}
