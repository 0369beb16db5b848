import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storePaths } from '../../../../db/stores/file/paths.js';
import { View } from '../../../../db/stores/file/view.js';
import { pendingJob, processingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { foldingStore } from './foldingStore.js';
import { onFsCall } from './fsCalls.js';

/** A store with a job and a dead one in its snapshot and a job in its journal. */
async function newStore() {
  const dir = tempStore();
  const { store, fold } = foldingStore(dir);
  await store.jobs.createJob(pendingJob({ id: 'dead' }));
  await store.dlq.moveToDLQ((await store.jobs.claimNext('w', T0)) ?? processingJob(), 'exit code 1', T0);
  await store.jobs.createJob(pendingJob({ id: 'in the snapshot' }));
  await fold();
  await store.jobs.createJob(pendingJob({ id: 'in the journal', created_at: T0 + 1 }));
  return { store, fold, paths: storePaths(dir) };
}

test('it tells whether an id is taken without parsing the records, where bytes prove it', async () => {
  const { store, paths } = await newStore();
  for (const taken of ['in the journal', 'in the snapshot', 'dead']) {
    let renewed = 0;
    const renew = () => {
      renewed += 1;
    };
    const view = View.open(paths, true);
    assert.equal(view.has('new', renew), false);
    assert.equal(view.has('in', renew), false);
    assert.equal(view.isLoaded, false);
    assert.equal(view.has(taken, renew), true);
    assert.equal(view.has('true', renew), false); // a command, as it happens
    assert.ok(renewed >= 4, 'whoever holds the lock can say so while files are read and searched');
    view.close();
  }
  await store.close();
});

test('it follows the commits and the folds of others without reading a snapshot again', async () => {
  const { store, fold, paths } = await newStore();
  const view = View.open(paths);
  assert.equal(view.records.listQueue().length, 2);
  const opened: unknown[] = [];
  for (const round of [1, 2, 3]) {
    await store.jobs.claimNext('w', T0);
    await fold();
    await store.jobs.createJob(pendingJob({ id: `new ${round}`, created_at: T0 + 1 + round }));
    const end = onFsCall(({ name, args }) => {
      if (name === 'openSync') opened.push(args[0]);
      return undefined;
    });
    try {
      assert.equal(view.refresh(), view);
    } finally {
      end();
    }
    assert.deepEqual(view.records.listQueue(), await store.jobs.listJobs());
  }
  assert.deepEqual(opened, [paths.journal, paths.journal, paths.journal]);
  view.close();
  await store.close();
});

test('it starts afresh when it has missed a whole journal', async () => {
  const { store, fold, paths } = await newStore();
  const old = View.open(paths);
  assert.equal(old.records.count('pending'), 2);
  for (const id of ['a', 'b']) {
    await store.jobs.createJob(pendingJob({ id, created_at: T0 + 2 }));
    await fold();
  }
  const view = old.refresh();
  assert.notEqual(view, old);
  assert.deepEqual(view.records.listQueue(), await store.jobs.listJobs());
  view.close();
  await store.close();
});

test('what it has read stays right when the snapshot is parsed later', async () => {
  const { store, fold, paths } = await newStore();
  const view = View.open(paths);
  await store.jobs.claimNext('w', T0);
  await fold();
  await store.jobs.claimNext('w', T0);
  assert.equal(view.refresh(), view);
  assert.equal(view.isLoaded, false);
  assert.deepEqual(view.records.listQueue(), await store.jobs.listJobs());
  view.close();
  await store.close();
});
