import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadJobOf } from '../../../db/model/deadEntry.js';
import type { DeadJob, Job } from '../../../db/model/job.js';
import { type Change, Records } from '../../../db/stores/records.js';
import { deadEntry, pendingJob, processingJob, T0 } from '../../helpers/jobFactory.js';

const change = (...records: (Job | string)[]): Change =>
  new Map(records.map((job) => (typeof job === 'string' ? [job, null] : [job.id, job])));

const deadJob = (id: string, failed_at = T0): DeadJob => deadJobOf(deadEntry({ id, failed_at }));

const idsOf = (records: readonly { readonly id: string }[]) => records.map(({ id }) => id);

function recordsOf(jobs: readonly Job[]): Records {
  const records = new Records();
  for (const job of jobs) records.put(job, 0);
  return records;
}

const nextRunnable = (records: Records, now: number) => records.runnable(now, 1)[0]?.record.id;

test('a record put again keeps its place, a record removed and put again goes behind those of its age', () => {
  const records = recordsOf(['a', 'b', 'c'].map((id) => pendingJob({ id })));
  records.put(processingJob({ id: 'a' }), 1);
  assert.deepEqual(idsOf(records.listQueue()), ['a', 'b', 'c']);
  records.remove('a');
  records.put(pendingJob({ id: 'a' }), 2);
  assert.deepEqual(idsOf(records.listQueue()), ['b', 'c', 'a']);
});

test('counts follow every change of state', () => {
  const records = recordsOf([pendingJob({ id: 'a' }), processingJob({ id: 'b' }), deadJob('d')]);
  records.put(processingJob({ id: 'a' }), 1);
  records.remove('b');
  records.remove('b');
  records.remove('never was');
  records.put(pendingJob({ id: 'd' }), 2);
  const counts = records.counts();
  assert.deepEqual(
    ['pending', 'processing', 'completed', 'failed', 'dead'].map((state) => counts.get(state as Job['state']) ?? 0),
    [1, 1, 0, 0, 0],
  );
});

test('a job changed since it was indexed is offered as it is now, and only once', () => {
  const records = recordsOf([pendingJob({ id: 'a', priority: 1 }), pendingJob({ id: 'b' })]);
  assert.equal(nextRunnable(records, T0), 'a');
  records.put(pendingJob({ id: 'a', run_at: T0 + 5 }), 1);
  assert.equal(nextRunnable(records, T0), 'b');
  records.remove('b');
  assert.equal(nextRunnable(records, T0), undefined);
  assert.equal(records.nextRunAt(), T0 + 5);
  records.put(processingJob({ id: 'a' }), 2);
  assert.equal(nextRunnable(records, T0 + 9), undefined);
  assert.equal(records.nextRunAt(), undefined);
});

test('what is offered stays on offer until it is changed, as many as are wanted in their order', () => {
  const records = recordsOf([pendingJob({ id: 'a' }), pendingJob({ id: 'b', priority: 2 }), pendingJob({ id: 'c' })]);
  for (const limit of [0, 1, 2, 3, 9]) {
    const offered = records.runnable(T0, limit).map(({ record }) => record.id);
    assert.deepEqual(offered, ['b', 'a', 'c'].slice(0, limit));
  }
});

test('what was changed can be put back as it was', () => {
  const records = recordsOf([pendingJob({ id: 'a' }), pendingJob({ id: 'b' }), deadJob('x'), deadJob('y')]);
  const before = ['a', 'new', 'x'].map((id) => [id, records.get(id)] as const);
  records.put(deadJob('a'), 1);
  records.put(pendingJob({ id: 'new' }), 2);
  records.put(pendingJob({ id: 'x' }), 3);
  for (const [id, stored] of before) records.restore(id, stored);
  assert.deepEqual(idsOf(records.listQueue()), ['a', 'b']);
  assert.equal(records.count('dead'), 2);
  assert.equal(records.count('pending'), 2);
  assert.equal(nextRunnable(records, T0), 'a');
  for (const [id, stored] of before) assert.deepEqual(records.get(id), stored);
});

test('replaying a journal over the snapshot made from it changes nothing', () => {
  const before = [
    ...[pendingJob({ id: 'a' }), processingJob({ id: 'b' }), pendingJob({ id: 'c', created_at: T0 + 1 })],
    ...[deadJob('x'), deadJob('y')],
  ];
  const journal = [
    change(pendingJob({ id: 'd' })),
    change(processingJob({ id: 'a' })),
    change(deadJob('b')),
    change(pendingJob({ id: 'x' })),
    change('a', pendingJob({ id: 'e', created_at: T0 + 2 })),
    change(deadJob('x', T0 + 1)),
    change(deadJob('z')),
  ];
  const once = recordsOf(before);
  for (const one of journal) once.apply(one, 1);
  assert.deepEqual(idsOf(once.listQueue()), ['d', 'c', 'e']);
  assert.deepEqual(idsOf(once.listDead()), ['y', 'b', 'x', 'z']);

  const twice = recordsOf([...once.listQueue(), ...once.listDead()]);
  for (const one of journal) twice.apply(one, 1);
  assert.deepEqual(twice.listQueue(), once.listQueue());
  assert.deepEqual(twice.listDead(), once.listDead());
  assert.deepEqual([...twice.counts()].sort(), [...once.counts()].sort());
});
