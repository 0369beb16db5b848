/**
 * The records of jobs and the checks that let them in.
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

export const JOB_STATES = ['pending', 'processing', 'completed', 'failed'] as const;
export type JobState = (typeof JOB_STATES)[number];

/** The states a user can list or count: `dead` stands for the jobs in the dead letter queue. */
export const LISTED_STATES = [...JOB_STATES, 'dead'] as const;
export type ListedState = (typeof LISTED_STATES)[number];

interface JobFields {
  /** Unique across queue.json and dlq.json; given by the caller or generated. */
  readonly id: string;
  /** Run as `/bin/sh -c command`. */
  readonly command: string;
  /** Attempts begun: counted when the job is claimed. */
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
  /** Seconds that an attempt may last; absent means `job_timeout`. */
  readonly timeout?: number;
  /** The directory the command runs in; absent means the worker's. */
  readonly cwd?: string;
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

export type Job = PendingJob | ProcessingJob | CompletedJob | FailedJob;

/** A job in the dead letter queue: its retries are used up. */
export interface DeadJob {
  readonly id: string;
  readonly command: string;
  readonly attempts: number;
  readonly max_retries: number;
  /** How the last attempt ended. */
  readonly error: string;
  readonly failed_at: number;
  readonly created_at: number;
  readonly priority?: number;
  readonly timeout?: number;
  readonly cwd?: string;
}

const JOB_RULES: Record<keyof Job, Rule> = {
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
  priority: priorityRule,
  timeout: timeoutRule,
  cwd: directoryRule,
};

const DEAD_JOB_RULES: Record<keyof DeadJob, Rule> = {
  id: idRule,
  command: commandRule,
  attempts: JOB_RULES.attempts,
  max_retries: JOB_RULES.max_retries,
  error: stringRule,
  failed_at: timeRule,
  created_at: timeRule,
  priority: priorityRule,
  timeout: timeoutRule,
  cwd: directoryRule,
};

const OPTIONAL_FIELDS = new Set(['priority', 'timeout', 'cwd']);

/**
 * Checks one element of queue.json.
 *
 * @returns what is wrong with it, or undefined when it is a job
 */
export function findJobFault(value: unknown): string | undefined {
  const fault = findFault(value, JOB_RULES, OPTIONAL_FIELDS);
  if (fault !== undefined) return fault;
  const { state, attempts, worker_id, processing_started_at } = value as Job; // findFault has checked every field
  if (state === 'processing' && (worker_id === null || processing_started_at === null || attempts === 0)) {
    return 'a processing job needs "worker_id", "processing_started_at" and an attempt in "attempts"';
  }
  if (state !== 'processing' && worker_id !== null) return `"worker_id" must be null in a ${state} job`;
  return undefined;
}

/**
 * Checks one element of dlq.json.
 *
 * @returns what is wrong with it, or undefined when it is a dead job
 */
export const findDeadJobFault = (value: unknown): string | undefined =>
  findFault(value, DEAD_JOB_RULES, OPTIONAL_FIELDS);
