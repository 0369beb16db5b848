import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeadJob, Job } from '../../../../db/model/job.js';
import { type Change, QueueState } from '../../../../db/stores/file/queueState.js';
import { deadJob, pendingJob, processingJob, T0 } from '../../../helpers/jobFactory.js';

const jobs = (...records: (Job | string)[]): Change => {
  return {
    jobs: new Map(records.map((job) => (typeof job === 'string' ? [job, null] : [job.id, job]))),
    dead: new Map(),
  };
};
const dead = (...records: (DeadJob | string)[]): Change => {
  return {
    jobs: new Map(),
    dead: new Map(records.map((one) => (typeof one === 'string' ? [one, null] : [one.id, one]))),
  };
};
const idsOf = (records: readonly { readonly id: string }[]) => records.map(({ id }) => id);

test('a record put again keeps its place, a record removed and put again goes behind those of its age', () => {
  const state = new QueueState(
    ['a', 'b', 'c'].map((id) => pendingJob({ id })),
    [],
  );
  state.putJob(processingJob({ id: 'a' }));
  assert.deepEqual(idsOf(state.listJobs()), ['a', 'b', 'c']);
  state.removeJob('a');
  state.putJob(pendingJob({ id: 'a' }));
  assert.deepEqual(idsOf(state.listJobs()), ['b', 'c', 'a']);
});

test('counts follow every change of state', () => {
  const state = new QueueState([pendingJob({ id: 'a' }), processingJob({ id: 'b' })], []);
  state.putJob(processingJob({ id: 'a' }));
  state.removeJob('b');
  state.removeJob('b');
  state.removeJob('never was');
  assert.deepEqual(state.countJobs(), { pending: 0, processing: 1, completed: 0, failed: 0 });
});

test('a job changed since it was indexed is offered as it is now, and only once', () => {
  const state = new QueueState([pendingJob({ id: 'a', priority: 1 }), pendingJob({ id: 'b' })], []);
  assert.equal(state.nextRunnable(T0)?.id, 'a');
  state.putJob(pendingJob({ id: 'a', run_at: T0 + 5 }));
  assert.equal(state.nextRunnable(T0)?.id, 'b');
  state.removeJob('b');
  assert.equal(state.nextRunnable(T0), undefined);
  assert.equal(state.nextRunAt(), T0 + 5);
  state.putJob(processingJob({ id: 'a' }));
  assert.equal(state.nextRunnable(T0 + 9), undefined);
  assert.equal(state.nextRunAt(), undefined);
});

test('replaying a journal over the snapshot made from it changes nothing', () => {
  const before = {
    jobs: [pendingJob({ id: 'a' }), processingJob({ id: 'b' }), pendingJob({ id: 'c', created_at: T0 + 1 })],
    dead: [deadJob({ id: 'x' }), deadJob({ id: 'y' })],
  };
  const journal = [
    jobs(pendingJob({ id: 'd' })),
    jobs(processingJob({ id: 'a' })),
    { jobs: new Map([['b', null]]), dead: new Map([['b', deadJob({ id: 'b' })]]) },
    { jobs: new Map([['x', pendingJob({ id: 'x' })]]), dead: new Map([['x', null]]) },
    jobs('a', pendingJob({ id: 'e', created_at: T0 + 2 })),
    { jobs: new Map([['x', null]]), dead: new Map([['x', deadJob({ id: 'x', failed_at: T0 + 1 })]]) },
    dead(deadJob({ id: 'z' })),
  ];
  const once = new QueueState(before.jobs, before.dead);
  for (const change of journal) once.apply(change);
  assert.deepEqual(idsOf(once.listJobs()), ['d', 'c', 'e']);
  assert.deepEqual(idsOf(once.listDead()), ['y', 'b', 'x', 'z']);

  const twice = new QueueState(once.listJobs(), once.listDead());
  for (const change of journal) twice.apply(change);
  assert.deepEqual(twice.listJobs(), once.listJobs());
  assert.deepEqual(twice.listDead(), once.listDead());
  assert.deepEqual(twice.countJobs(), once.countJobs());
});
