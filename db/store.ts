/**
 * What a store is to the rest of queuectl: repositories whose verbs carry their own condition and say what happened.
 *
 * Each verb is atomic by itself; `transaction` joins several. A store keeps records and knows no rule: what is to
 * become of a job is decided in core, and the verb only refuses when its condition no longer holds. The contract suite
 * in test/db/contract.ts runs against every implementation.
 */

import type { ProcessGroup } from '../core/run/groupNote.js';
import type { QueuectlError } from '../utils/errors.js';
import type { DeadJob, Job, JobState, PendingJob, ProcessingJob } from './model/job.js';
import type { Config, ConfigKey } from './model/settings.js';
import type { WorkerRecord } from './model/worker.js';

/** How a claimed job is named when it is settled: by its id and by who must still own it. */
export type Claim = Pick<ProcessingJob, 'id' | 'worker_id'>;

/** A job to be added, and whether its id was made just now. */
export interface NewJob {
  readonly job: PendingJob;
  readonly hasNewId: boolean;
}

export interface JobRepo {
  /**
   * Adds a job. On disk before it returns.
   * @param hasNewId the id was made just now, so that nobody can have it: a store need not look for it
   * @throws QueuectlError DUPLICATE_ID: the id is in the queue or in the dead letter queue
   */
  createJob(job: PendingJob, hasNewId?: boolean): Promise<void>;
  /** Adds jobs, all or none, as `createJob` adds one. */
  createJobs(jobs: readonly NewJob[]): Promise<void>;
  /**
   * Takes the next runnable job for a worker: `run_at <= now`, highest priority first, then oldest. Counts the attempt.
   * @returns the job as claimed, or undefined when none is runnable
   */
  claimNext(workerId: string, now: number): Promise<ProcessingJob | undefined>;
  /** Records success. @returns false, and changes nothing, when the worker no longer owns the job. */
  markCompleted(claim: Claim, now: number): Promise<boolean>;
  /** Records a failed attempt and when the next begins. @returns false when the worker no longer owns the job. */
  reschedule(claim: Claim, next: { runAt: number; error: string }, now: number): Promise<boolean>;
  /** Gives a claimed job back as if it had not been claimed. @returns false when the worker no longer owns the job. */
  release(claim: Claim, now: number): Promise<boolean>;
  getJob(id: string): Promise<Job | undefined>;
  /** The jobs, oldest first; of one state if given. */
  listJobs(state?: JobState): Promise<Job[]>;
  countJobs(): Promise<Record<JobState, number>>;
  /**
   * The earliest `run_at` among the jobs that wait, or undefined when none waits. When that is past, it may as well be
   * another that was due at the last claim.
   */
  nextRunAt(): Promise<number | undefined>;
}

export interface DlqRepo {
  /** Buries a claimed job. @returns false when the worker no longer owns it. */
  moveToDLQ(claim: Claim, error: string, now: number): Promise<boolean>;
  /** Brings a dead job back to the queue with `attempts = 0`, to run at once. On disk before it returns. */
  retryFromDLQ(id: string, now: number): Promise<PendingJob | undefined>;
  getDead(id: string): Promise<DeadJob | undefined>;
  /** The dead jobs, in the order they were buried. */
  listDLQ(): Promise<DeadJob[]>;
  countDLQ(): Promise<number>;
}

export interface ConfigRepo {
  getConfig<K extends ConfigKey>(key: K): Promise<Config[K]>;
  /** The settings, defaults filled in. */
  getAllConfig(): Promise<Config>;
  /** On disk before it returns. The value must have passed `findConfigFault`. */
  setConfig<K extends ConfigKey>(key: K, value: Config[K]): Promise<void>;
}

/** A record of a process that cannot be read. */
export interface UnreadableRecord {
  readonly id: string;
  readonly path: string;
  /** Whether a process runs with the pid that its name tells, so that it may be a living one's. */
  readonly mayLive: boolean;
  readonly fault: QueuectlError;
}

export interface Survey {
  readonly records: WorkerRecord[];
  readonly unreadable: UnreadableRecord[];
  /** The workers of which groups are noted though they are not on record: somebody has removed the record. */
  readonly unrecorded: string[];
}

export interface WorkerRepo {
  register(record: WorkerRecord): Promise<void>;
  /** Forgets a worker and the groups noted for it. */
  unregister(workerId: string): Promise<void>;
  /** Gives a sign of life, for those who cannot see the process. Does nothing when it is not on record. */
  heartbeat(id: string): Promise<void>;
  /** Every record on disk that can be read, of living and of dead processes. */
  listRecords(): Promise<WorkerRecord[]>;
  /** All that is known of workers. */
  survey(): Promise<Survey>;
  /** Takes a worker off the record, so that no command of its begins any more; what is noted of those that run stays. */
  condemn(workerId: string): Promise<void>;
  /** The file that is there as long as a worker is on record. */
  recordFile(workerId: string): string;
  /** Where the process group is noted of the command that runs in a worker's slot, before the command begins. */
  groupNote(workerId: string, slot: number): string;
  /** The groups of the commands that a worker was running when it was heard of last. */
  listGroups(workerId: string): Promise<ProcessGroup[]>;
}

/** The repositories that a transaction joins. */
export interface Repositories {
  readonly jobs: JobRepo;
  readonly dlq: DlqRepo;
}

/** What was found about one part of a store. */
export type Check = {
  /** What was looked at: `queue.json`, `lock` … */
  readonly name: string;
  readonly fact: string;
} & (
  | { readonly state: 'ok' }
  | {
      readonly state: 'wrong';
      readonly remedy: string;
      /** Mends it, and keeps a copy of what it replaces. @returns what was done */
      readonly repair?: () => Promise<string>;
    }
);

export interface Store extends Repositories {
  readonly config: ConfigRepo;
  readonly workers: WorkerRepo;
  /**
   * Runs several verbs as one: all of what they change is kept, or, when `work` throws, nothing.
   * `work` may be run again from its beginning, so it must do nothing but call verbs and think.
   */
  transaction<T>(work: (repositories: Repositories) => Promise<T>): Promise<T>;
  /** Reads several things as they are at one moment; `work` changes nothing. Takes no lock. */
  look<T>(work: (repositories: Repositories) => Promise<T>): Promise<T>;
  /** Where a job's output goes. The file need not exist; its directory does. */
  logFile(jobId: string): Promise<string>;
  /** Calls back soon after anybody changed the queue. @returns a function that ends it */
  watch(onChange: () => void): () => void;
  /** Looks at all that the store consists of. Changes nothing but by a repair; each check sees the repairs before it. */
  checkFiles(): AsyncIterable<Check>;
  /** Says that this process has nothing to do for now: a moment to tidy up, and to free memory. */
  idle(): Promise<void>;
  /**
   * Ends the use of the store. Leaves it tidy if nobody else is there to do that.
   * @returns what kept it from being tidied; nothing acknowledged is lost by it
   */
  close(): Promise<QueuectlError | undefined>;
}
