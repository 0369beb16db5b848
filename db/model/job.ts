/**
 * The record of a job, and every change of one.
 *
 *   pending ──claimed──▶ processing ──completed──▶ completed
 *      ▲                  ▲   │  │
 *      │       claimed at │   │  └─buried──▶ dead ──revived──▶ pending
 *      │           run_at │   └─failed──▶ failed (waits until run_at)
 *      └──────────────────┴───── released: as before the claim
 *
 * Times are integers, milliseconds since the epoch. What comes from outside (a file, the command line) is checked here
 * once and is a typed record from then on. Fields this version does not know are kept as they are.
 */
import {
  commandRule,
  directoryRule,
  findFault,
  idRule,
  integerRule,
  orNull,
  priorityRule,
  type Rule,
  stringRule,
  timeoutRule,
  timeRule,
} from './rules.js';

export const JOB_STATES = ['pending', 'processing', 'completed', 'failed', 'dead'] as const;
export type JobState = (typeof JOB_STATES)[number];

/** Those in the queue: all but the dead, which are in the dead letter queue. */
export const QUEUE_STATES = ['pending', 'processing', 'completed', 'failed'] as const satisfies JobState[];

interface JobFields {
  /** Unique among all jobs; given by the caller or generated. */
  readonly id: string;
  /** Run as `/bin/sh -c command`. */
  readonly command: string;
  /** Attempts begun since the last retry from the DLQ: counted when the job is claimed. */
  readonly attempts: number;
  /** Retries after the first attempt, so at most `max_retries + 1` attempts. */
  readonly max_retries: number;
  /** Not claimed before. */
  readonly run_at: number;
  readonly created_at: number;
  readonly updated_at: number;
  /** How the last attempt that failed ended; cleared when an attempt succeeds. */
  readonly last_error: string | null;
  /** Higher is claimed first; absent means 0. */
  readonly priority?: number;
  /** Seconds that an attempt may last; 0 means that there is no limit, absent means `job_timeout`. */
  readonly timeout?: number;
  /** The directory the command runs in; absent means the worker's. */
  readonly cwd?: string;
  /** Attempts begun before the last retry from the DLQ; absent means 0. */
  readonly attempts_before?: number;
}

/** Waiting for its first attempt, or for the first after a retry from the DLQ. */
export interface PendingJob extends JobFields {
  readonly state: 'pending';
  readonly processing_started_at: null;
  readonly worker_id: null;
}

/** Held by one worker, which is running its command. */
export interface ProcessingJob extends JobFields {
  readonly state: 'processing';
  readonly processing_started_at: number;
  readonly worker_id: string;
  /** Tells this claim from every other; absent in a job that version 0.1.0 claimed. */
  readonly claim_id?: string;
}

/** Its command exited with 0; `processing_started_at` and `updated_at` bracket that attempt. */
export interface CompletedJob extends JobFields {
  readonly state: 'completed';
  readonly processing_started_at: number | null;
  readonly worker_id: null;
}

/** Its last attempt failed; another begins at `run_at`. */
export interface FailedJob extends JobFields {
  readonly state: 'failed';
  readonly processing_started_at: number | null;
  readonly worker_id: null;
}

/** In the dead letter queue: its retries are used up. `updated_at` tells when it was buried, and so does `run_at`. */
export interface DeadJob extends JobFields {
  readonly state: 'dead';
  readonly processing_started_at: null;
  readonly worker_id: null;
  readonly last_error: string;
}

export type WaitingJob = PendingJob | FailedJob;
export type Job = PendingJob | ProcessingJob | CompletedJob | FailedJob | DeadJob;

/** What settling an attempt must name: the job, who holds it, and by which claim. */
export type Claim = Pick<ProcessingJob, 'id' | 'worker_id' | 'claim_id'>;

/** Whether a job waits to be claimed, now or at its `run_at`. */
export const isWaiting = (job: Job): job is WaitingJob => WAITING_STATES.some((state) => state === job.state);
export const WAITING_STATES = ['pending', 'failed'] as const satisfies JobState[];

/** Whether a job is held by this very claim. */
export const isHeldBy = (job: Job, claim: Claim): job is ProcessingJob =>
  job.state === 'processing' && job.worker_id === claim.worker_id && job.claim_id === claim.claim_id;

/** The number of the attempt that was begun last, counted over the whole life of the job. */
export const attemptNumber = ({ attempts, attempts_before = 0 }: Pick<Job, 'attempts' | 'attempts_before'>): number =>
  attempts_before + attempts;

/** @param now milliseconds since the epoch, here and below */
export function claimed(job: WaitingJob, claim: { workerId: string; claimId: string }, now: number): ProcessingJob {
  return {
    ...job,
    state: 'processing',
    attempts: job.attempts + 1,
    updated_at: now,
    processing_started_at: now,
    worker_id: claim.workerId,
    claim_id: claim.claimId,
  };
}

export function completed({ claim_id: _, ...job }: ProcessingJob, now: number): CompletedJob {
  return { ...job, state: 'completed', updated_at: now, worker_id: null, last_error: null };
}

export function failed(
  { claim_id: _, ...job }: ProcessingJob,
  next: { readonly runAt: number; readonly error: string },
  now: number,
): FailedJob {
  return { ...job, state: 'failed', run_at: next.runAt, updated_at: now, worker_id: null, last_error: next.error };
}

export function buried({ claim_id: _, ...job }: ProcessingJob, error: string, now: number): DeadJob {
  const times = { run_at: now, updated_at: now, processing_started_at: null };
  return { ...job, ...times, state: 'dead', worker_id: null, last_error: error };
}

/** As it was before the claim, so that the attempt does not count. */
export function released({ claim_id: _, ...job }: ProcessingJob, now: number): WaitingJob {
  const given = { ...job, attempts: job.attempts - 1, updated_at: now, worker_id: null };
  return given.attempts === 0
    ? { ...given, state: 'pending', processing_started_at: null }
    : { ...given, state: 'failed' };
}

/** Brought back from the dead letter queue, to run at once. */
export function revived(job: DeadJob, now: number): PendingJob {
  const { id, command, attempts: _, max_retries, created_at, last_error, attempts_before: _before, ...rest } = job;
  const known = {
    id,
    command,
    state: 'pending',
    attempts: 0,
    max_retries,
    run_at: now,
    created_at,
    updated_at: now,
    processing_started_at: null,
    worker_id: null,
    last_error,
  } as const;
  const begun = attemptNumber(job);
  return { ...known, ...rest, ...known, ...(begun === 0 ? {} : { attempts_before: begun }) }; // in this order
}

export const JOB_RULES: Readonly<Record<keyof Job | 'claim_id', Rule>> = {
  id: idRule,
  command: commandRule,
  state: {
    holds: (value) => JOB_STATES.some((state) => state === value),
    words: `one of ${JOB_STATES.join(', ')}`,
  },
  attempts: integerRule(0, Number.MAX_SAFE_INTEGER),
  max_retries: integerRule(0, Number.MAX_SAFE_INTEGER),
  run_at: timeRule,
  created_at: timeRule,
  updated_at: timeRule,
  processing_started_at: orNull(timeRule),
  worker_id: orNull(stringRule),
  last_error: orNull(stringRule),
  claim_id: stringRule,
  priority: priorityRule,
  timeout: timeoutRule,
  cwd: directoryRule,
  attempts_before: integerRule(0, Number.MAX_SAFE_INTEGER),
};
export const OPTIONAL_FIELDS: ReadonlySet<string> = new Set([
  'claim_id',
  'priority',
  'timeout',
  'cwd',
  'attempts_before',
]);

/**
 * Checks the record of a job.
 *
 * @returns what is wrong with it, or undefined when it is a job
 */
export function findJobFault(value: unknown): string | undefined {
  const fault = findFault(value, JOB_RULES, OPTIONAL_FIELDS);
  if (fault !== undefined) return fault;
  const { state, attempts, worker_id, processing_started_at, last_error } = value as Job; // each field has been checked
  if (state === 'processing' && (worker_id === null || processing_started_at === null || attempts === 0)) {
    return 'a processing job needs "worker_id", "processing_started_at" and an attempt in "attempts"';
  }
  if (state !== 'processing' && worker_id !== null) return `"worker_id" must be null in a ${state} job`;
  if (state === 'dead' && last_error === null) return 'a dead job needs "last_error"';
  return undefined;
}
