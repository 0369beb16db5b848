/** Every change of a job, as a table: what it is made of, and what it is made. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deadEntryOf, deadJobOf } from '../../../db/model/deadEntry.js';
import {
  attemptNumber,
  buried,
  claimed,
  completed,
  type DeadJob,
  failed,
  isHeldBy,
  type ProcessingJob,
  released,
  revived,
} from '../../../db/model/job.js';
import { pendingJob, processingJob, T0 } from '../../helpers/jobFactory.js';

const NOW = T0 + 1000;
const OPTIONAL = { priority: 2, timeout: 9, cwd: '/tmp', colour: { of: 'a newer version' } };
const held: ProcessingJob = processingJob({ attempts: 2, last_error: 'exit code 1', claim_id: 'c1', ...OPTIONAL });
const { claim_id: _, ...heldWithoutClaim } = held;
const dead: DeadJob = buried(held, 'exit code 7', NOW);

const CASES: readonly (readonly [change: string, after: object, expected: object])[] = [
  [
    'a pending job that is claimed',
    claimed(pendingJob({ id: 'a', ...OPTIONAL }), { workerId: 'w9', claimId: 'c9' }, NOW),
    {
      ...pendingJob({ id: 'a', ...OPTIONAL }),
      state: 'processing',
      attempts: 1,
      updated_at: NOW,
      processing_started_at: NOW,
      worker_id: 'w9',
      claim_id: 'c9',
    },
  ],
  [
    'a failed job that is claimed keeps why it failed',
    claimed(failed(held, { runAt: T0, error: 'exit code 1' }, T0), { workerId: 'w9', claimId: 'c9' }, NOW),
    {
      ...heldWithoutClaim,
      run_at: T0,
      attempts: 3,
      updated_at: NOW,
      processing_started_at: NOW,
      worker_id: 'w9',
      claim_id: 'c9',
    },
  ],
  [
    'completed',
    completed(held, NOW),
    { ...heldWithoutClaim, state: 'completed', updated_at: NOW, worker_id: null, last_error: null },
  ],
  [
    'failed',
    failed(held, { runAt: NOW + 5, error: 'exit code 7' }, NOW),
    {
      ...heldWithoutClaim,
      state: 'failed',
      run_at: NOW + 5,
      updated_at: NOW,
      worker_id: null,
      last_error: 'exit code 7',
    },
  ],
  [
    'buried',
    dead,
    {
      ...heldWithoutClaim,
      state: 'dead',
      run_at: NOW,
      updated_at: NOW,
      processing_started_at: null,
      worker_id: null,
      last_error: 'exit code 7',
    },
  ],
  [
    'a first attempt that is released has never been',
    released(processingJob({ attempts: 1, claim_id: 'c1', ...OPTIONAL }), NOW),
    {
      ...processingJob({ ...OPTIONAL }),
      id: 'any',
      state: 'pending',
      attempts: 0,
      updated_at: NOW,
      processing_started_at: null,
      worker_id: null,
    },
  ],
  [
    'a later attempt that is released waits as it did',
    released(held, NOW),
    { ...heldWithoutClaim, state: 'failed', attempts: 1, updated_at: NOW, worker_id: null },
  ],
  [
    'revived',
    revived(dead, NOW + 1),
    { ...dead, state: 'pending', attempts: 0, run_at: NOW + 1, updated_at: NOW + 1, attempts_before: 2 },
  ],
  [
    'revived once more',
    revived({ ...dead, attempts_before: 5 }, NOW + 1),
    { ...dead, state: 'pending', attempts: 0, run_at: NOW + 1, updated_at: NOW + 1, attempts_before: 7 },
  ],
];
for (const [change, after, expected] of CASES) {
  test(change, () => {
    const id = 'any';
    assert.deepEqual({ ...after, id }, { ...expected, id });
  });
}

test('a job that never ran has no attempts before its retry', () => {
  assert.equal('attempts_before' in revived({ ...dead, attempts: 0 }, NOW), false);
});

test('attempts are numbered over the whole life of a job', () => {
  assert.equal(attemptNumber(held), 2);
  assert.equal(attemptNumber({ attempts: 1, attempts_before: 4 }), 5);
});

test('a dead job is the same after it was read from its entry', () => {
  const { id, ...rest } = dead;
  for (const job of [dead, { ...rest, id, attempts_before: 3 }]) assert.deepEqual(deadJobOf(deadEntryOf(job)), job);
});

describe('a job is held by a claim', () => {
  const claim = { id: held.id, worker_id: held.worker_id, claim_id: 'c1' };
  const cases: readonly (readonly [
    when: string,
    isHeld: boolean,
    job: Parameters<typeof isHeldBy>[0],
    claim: typeof claim,
  ])[] = [
    ['that it names', true, held, claim],
    ['but not by another of the same worker', false, held, { ...claim, claim_id: 'c2' }],
    ['but not by one of another worker', false, held, { ...claim, worker_id: 'w2' }],
    ['but not once it has ended', false, completed(held, NOW), claim],
  ];
  for (const [when, isHeld, job, named] of cases) {
    test(when, () => assert.equal(isHeldBy(job, named), isHeld));
  }
  test('made by version 0.1.0, which gave it no id', () => {
    const { claim_id: _, ...old } = held;
    assert.equal(isHeldBy(old, { id: old.id, worker_id: old.worker_id }), true);
    assert.equal(isHeldBy(held, { id: old.id, worker_id: old.worker_id }), false);
  });
});
