import type { CompletedJob, FailedJob, Job, JobState, PendingJob, ProcessingJob } from '../model/job.js';
import type { Claim, JobRepo, NewJob } from '../store.js';
import type { Draft } from '../stores/file/draft.js';
import type { Access } from './access.js';

export class FileJobRepo implements JobRepo {
  constructor(private readonly access: Access) {}

  createJob(job: PendingJob, hasNewId = false): Promise<void> {
    return this.createJobs([{ job, hasNewId }]);
  }

  createJobs(jobs: readonly NewJob[]): Promise<void> {
    return this.access.write((draft) => {
      for (const { job, hasNewId } of jobs) draft.addJob(job, hasNewId);
      draft.durable = true;
    });
  }

  claimNext(workerId: string, now: number): Promise<ProcessingJob | undefined> {
    return this.access.write((draft) => {
      const next = draft.state.nextRunnable(now);
      if (next === undefined) return undefined;
      const claimed: ProcessingJob = {
        ...next,
        state: 'processing',
        attempts: next.attempts + 1,
        updated_at: now,
        processing_started_at: now,
        worker_id: workerId,
      };
      draft.putJob(claimed);
      return claimed;
    });
  }

  markCompleted(claim: Claim, now: number): Promise<boolean> {
    return this.settle(claim, (job): CompletedJob => {
      return { ...job, state: 'completed', updated_at: now, worker_id: null, last_error: null };
    });
  }

  reschedule(claim: Claim, next: { runAt: number; error: string }, now: number): Promise<boolean> {
    return this.settle(claim, (job): FailedJob => {
      const { runAt, error } = next;
      return { ...job, state: 'failed', run_at: runAt, updated_at: now, worker_id: null, last_error: error };
    });
  }

  release(claim: Claim, now: number): Promise<boolean> {
    return this.settle(claim, (job): PendingJob | FailedJob => {
      const given = { ...job, attempts: job.attempts - 1, updated_at: now, worker_id: null };
      return given.attempts === 0
        ? { ...given, state: 'pending', processing_started_at: null }
        : { ...given, state: 'failed' };
    });
  }

  private settle(claim: Claim, next: (job: ProcessingJob) => Job): Promise<boolean> {
    return this.access.write((draft) => {
      const job = ownedJob(draft, claim);
      if (job === undefined) return false;
      draft.putJob(next(job));
      return true;
    });
  }

  getJob(id: string): Promise<Job | undefined> {
    return this.access.read((state) => state.getJob(id));
  }

  listJobs(state?: JobState): Promise<Job[]> {
    return this.access.read((records) => {
      const jobs = records.listJobs();
      return state === undefined ? jobs : jobs.filter((job) => job.state === state);
    });
  }

  countJobs(): Promise<Record<JobState, number>> {
    return this.access.read((state) => state.countJobs());
  }

  nextRunAt(): Promise<number | undefined> {
    return this.access.read((state) => state.nextRunAt());
  }
}

/** The job as the claim's worker holds it, or undefined when that worker no longer owns it. */
export function ownedJob(draft: Draft, claim: Claim): ProcessingJob | undefined {
  const job = draft.state.getJob(claim.id);
  return job?.state === 'processing' && job.worker_id === claim.worker_id ? job : undefined;
}
