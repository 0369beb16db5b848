/** A queue in an array, as plain as can be: what every store must be indistinguishable from. */
import {
  buried,
  type Claim,
  claimed,
  completed,
  failed,
  isHeldBy,
  type Job,
  type PendingJob,
  released,
  revived,
} from '../../../db/model/job.js';
import type { Repositories } from '../../../db/repositories/index.js';

/** What is done to a store, as data. */
export type Verb =
  | { readonly verb: 'create'; readonly job: PendingJob }
  | { readonly verb: 'claim'; readonly worker: string; readonly claimId: string; readonly now: number }
  | { readonly verb: 'complete' | 'release' | 'bury'; readonly claim: Claim; readonly now: number }
  | { readonly verb: 'reschedule'; readonly claim: Claim; readonly runAt: number; readonly now: number }
  | { readonly verb: 'retry'; readonly id: string; readonly now: number };

/** @returns what the store's verb returned */
export async function performOnStore({ jobs, dlq }: Repositories, step: Verb): Promise<unknown> {
  switch (step.verb) {
    case 'create':
      return jobs.createJob(step.job);
    case 'claim':
      return jobs.claimNext(step.worker, step.now, step.claimId);
    case 'retry':
      return dlq.retryFromDLQ(step.id, step.now);
    case 'complete':
      return jobs.markCompleted(step.claim, step.now);
    case 'release':
      return jobs.release(step.claim, step.now);
    case 'bury':
      return dlq.moveToDLQ(step.claim, 'exit code 1', step.now);
    case 'reschedule':
      return jobs.reschedule(step.claim, { runAt: step.runAt, error: 'exit code 1' }, step.now);
  }
}

/** All jobs: those that are not dead as they were added or brought back, the dead as they were buried. */
export type Model = readonly Job[];

/** What a verb does to the model, and what it returns; `taken` instead of an error. */
export function performOnModel(model: Model, step: Verb): { after: Model; result: unknown } {
  const unchanged = (result: unknown) => ({ after: model, result });
  const inPlace = (job: Job, result: unknown) => ({
    after: model.map((one) => (one.id === job.id ? job : one)),
    result,
  });
  const atEnd = (job: Job, result: unknown) => ({ after: [...model.filter(({ id }) => id !== job.id), job], result });
  switch (step.verb) {
    case 'create':
      return model.some(({ id }) => id === step.job.id) ? unchanged('taken') : atEnd(step.job, undefined);
    case 'claim': {
      const [next] = oldestFirst(model)
        .filter((job) => job.state === 'pending' || job.state === 'failed')
        .filter((job) => job.run_at <= step.now)
        .sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
      if (next === undefined) return unchanged(undefined);
      const job = claimed(next, { workerId: step.worker, claimId: step.claimId }, step.now);
      return inPlace(job, job);
    }
    case 'retry': {
      const dead = model.find(({ id }) => id === step.id);
      if (dead?.state !== 'dead') return unchanged(undefined);
      const job = revived(dead, step.now);
      return atEnd(job, job);
    }
  }
  const held = model.find(({ id }) => id === step.claim.id);
  if (held === undefined || !isHeldBy(held, step.claim)) return unchanged(false);
  switch (step.verb) {
    case 'complete':
      return inPlace(completed(held, step.now), true);
    case 'release':
      return inPlace(released(held, step.now), true);
    case 'reschedule':
      return inPlace(failed(held, { runAt: step.runAt, error: 'exit code 1' }, step.now), true);
    case 'bury':
      return atEnd(buried(held, 'exit code 1', step.now), true);
  }
}

/** Jobs of the same age as they were added. */
export const oldestFirst = <J extends Job>(jobs: readonly J[]): J[] =>
  [...jobs].sort((a, b) => a.created_at - b.created_at);
