/** The verbs of jobs, written once for every kind of store. Each carries its condition and says what happened. */
import { QueuectlError } from '../../utils/errors.js';
import { randomHex } from '../../utils/random.js';
import { quote } from '../../utils/text.js';
import {
  type Claim,
  claimed,
  completed,
  failed,
  isHeldBy,
  type Job,
  type JobState,
  type PendingJob,
  type ProcessingJob,
  QUEUE_STATES,
  released,
} from '../model/job.js';
import type { Stored, Transaction } from '../store.js';
import type { Access } from './access.js';

/** A job to be added, and whether its id was made just now. */
export interface NewJob {
  readonly job: PendingJob;
  /** Nobody can have it: a store need not look for it. */
  readonly hasNewId: boolean;
}

export class JobRepo {
  constructor(private readonly access: Access) {}

  /**
   * Adds a job. On disk before it returns.
   *
   * @throws QueuectlError DUPLICATE_ID: a job has the id, dead or alive
   */
  createJob(job: PendingJob, hasNewId = false): Promise<void> {
    return this.createJobs([{ job, hasNewId }]);
  }

  /** Adds jobs, all or none, as `createJob` adds one. */
  createJobs(jobs: readonly NewJob[]): Promise<void> {
    return this.access.write(async (transaction) => {
      const [taken] = await transaction.write(
        'jobs',
        jobs.map(({ job, hasNewId }) => ({ id: job.id, before: null, after: job, isNew: hasNewId })),
      );
      if (taken === undefined) return;
      throw new QueuectlError('DUPLICATE_ID', `the id ${quote(taken)} is taken`, 'Choose another id.', {
        data: { id: taken },
      });
    }, 'on disk');
  }

  /**
   * Takes the next runnable job for a worker: `run_at <= now`, highest priority first, then oldest. Counts the attempt.
   *
   * @param claimId tells this claim from every other
   * @returns the job as claimed, or undefined when none is runnable
   */
  claimNext(workerId: string, now: number, claimId = randomHex(16)): Promise<ProcessingJob | undefined> {
    return this.access.write(async (transaction) => {
      for (;;) {
        const [next] = await transaction.runnable({ now, limit: 1 });
        if (next === undefined) return undefined;
        const job = claimed(next.record, { workerId, claimId }, now);
        if (await replaced(transaction, next, job)) return job;
      }
    }, 'soon');
  }

  /** Records success. @returns false, and changes nothing, when the claim does not hold the job any more */
  markCompleted(claim: Claim, now: number): Promise<boolean> {
    return settle(this.access, claim, (job) => completed(job, now));
  }

  /** Records a failed attempt and when the next begins. @returns as `markCompleted` */
  reschedule(claim: Claim, next: { readonly runAt: number; readonly error: string }, now: number): Promise<boolean> {
    return settle(this.access, claim, (job) => failed(job, next, now));
  }

  /** Gives a claimed job back as if it had not been claimed. @returns as `markCompleted` */
  release(claim: Claim, now: number): Promise<boolean> {
    return settle(this.access, claim, (job) => released(job, now));
  }

  /** The job with this id, dead or alive. */
  getJob(id: string): Promise<Job | undefined> {
    return this.access.read(async (reader) => (await reader.get('jobs', id))?.record);
  }

  /** The jobs, oldest first: of one state if given, else all but the dead. */
  listJobs(state?: JobState): Promise<Job[]> {
    return this.access.read(async (reader) => {
      const found = await reader.jobs({ states: state === undefined ? QUEUE_STATES : [state] });
      return found.map(({ record }) => record);
    });
  }

  countJobs(): Promise<Record<JobState, number>> {
    return this.access.read(async (reader) => {
      const counts = await reader.count();
      const of = (state: JobState) => counts.get(state) ?? 0;
      const [pending, processing, completed] = [of('pending'), of('processing'), of('completed')];
      return { pending, processing, completed, failed: of('failed'), dead: of('dead') };
    });
  }

  /** See `Reader.nextRunAt`. */
  nextRunAt(): Promise<number | undefined> {
    return this.access.read((reader) => reader.nextRunAt());
  }
}

/** Writes what follows for a claimed job. @returns false, and changes nothing, when the claim does not hold it any more */
export function settle(access: Access, claim: Claim, next: (job: ProcessingJob) => Job): Promise<boolean> {
  return access.write(async (transaction) => {
    const found = await transaction.get('jobs', claim.id);
    if (found === undefined || !isHeldBy(found.record, claim)) return false;
    return replaced(transaction, found, next(found.record));
  }, 'soon');
}

/** @returns false when it is not as it was any more */
export async function replaced(transaction: Transaction, before: Stored<Job>, after: Job): Promise<boolean> {
  return (await transaction.write('jobs', [{ id: after.id, before, after }])).length === 0;
}
