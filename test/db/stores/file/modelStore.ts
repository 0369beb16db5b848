/** A queue in two arrays, as plain as can be: what the store must be indistinguishable from. */
import type { DeadEntry } from '../../../../db/model/deadEntry.js';
import type { Job, ProcessingJob } from '../../../../db/model/job.js';
import { claimIdOf, type Verb } from './steps.js';

export interface Model {
  /** In the order they were added. */
  readonly jobs: readonly Job[];
  readonly dead: readonly DeadEntry[];
}

export const emptyModel: Model = { jobs: [], dead: [] };

/** What a verb does to the model, and what it returns; `taken` instead of an error. */
export function performOnModel({ jobs, dead }: Model, step: Verb): { after: Model; result: unknown } {
  const unchanged = (result: unknown) => ({ after: { jobs, dead }, result });
  const replaced = (job: Job, result: unknown) => {
    return { after: { jobs: jobs.map((one) => (one.id === job.id ? job : one)), dead }, result };
  };
  switch (step.verb) {
    case 'create': {
      if ([...jobs, ...dead].some(({ id }) => id === step.job.id)) return unchanged('taken');
      return { after: { jobs: [...jobs, step.job], dead }, result: undefined };
    }
    case 'claim': {
      const next = oldestFirst(jobs)
        .filter((job) => (job.state === 'pending' || job.state === 'failed') && job.run_at <= step.now)
        .reduce<Job | undefined>((best, job) => (best && priorityOf(best) >= priorityOf(job) ? best : job), undefined);
      if (next === undefined) return unchanged(undefined);
      const claimed: ProcessingJob = {
        ...next,
        state: 'processing',
        attempts: next.attempts + 1,
        updated_at: step.now,
        processing_started_at: step.now,
        worker_id: step.worker,
        claim_id: claimIdOf(step.worker),
      };
      return replaced(claimed, claimed);
    }
    case 'retry': {
      const entry = dead.find(({ id }) => id === step.id);
      if (entry === undefined) return unchanged(undefined);
      const { error, failed_at, ...kept } = entry;
      const attempts_before = entry.attempts + (entry.attempts_before ?? 0);
      const job: Job = {
        ...kept,
        state: 'pending',
        attempts: 0,
        run_at: step.now,
        updated_at: step.now,
        processing_started_at: null,
        worker_id: null,
        last_error: error,
        ...(attempts_before === 0 ? {} : { attempts_before }),
      };
      return { after: { jobs: [...jobs, job], dead: dead.filter(({ id }) => id !== step.id) }, result: job };
    }
  }
  const job = jobs.find(({ id }) => id === step.id);
  if (job?.state !== 'processing' || job.worker_id !== step.worker) return unchanged(false);
  const { claim_id: _, ...held } = job;
  const settled = { ...held, updated_at: step.now, worker_id: null };
  switch (step.verb) {
    case 'complete':
      return replaced({ ...settled, state: 'completed', last_error: null }, true);
    case 'reschedule':
      return replaced({ ...settled, state: 'failed', run_at: step.runAt, last_error: 'exit code 1' }, true);
    case 'release':
      return job.attempts === 1
        ? replaced({ ...settled, state: 'pending', attempts: 0, processing_started_at: null }, true)
        : replaced({ ...settled, state: 'failed', attempts: job.attempts - 1 }, true);
    case 'bury': {
      const { state, run_at, updated_at, processing_started_at, worker_id, last_error, ...kept } = held;
      const entry: DeadEntry = { ...kept, error: 'exit code 1', failed_at: step.now };
      return { after: { jobs: jobs.filter((one) => one !== job), dead: [...dead, entry] }, result: true };
    }
  }
}

/** Jobs of the same age in the order they were added. */
export const oldestFirst = (jobs: readonly Job[]): Job[] => [...jobs].sort((a, b) => a.created_at - b.created_at);

const priorityOf = (job: Job) => job.priority ?? 0;
