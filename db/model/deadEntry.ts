/** A dead job as `dlq-list` prints it, and as dlq.json has kept it since version 0.1.0. */
import { type DeadJob, JOB_RULES, OPTIONAL_FIELDS } from './job.js';
import { findFault, type Rule, stringRule, timeRule } from './rules.js';

type OnlyInQueue = 'state' | 'run_at' | 'updated_at' | 'processing_started_at' | 'worker_id' | 'last_error';

export interface DeadEntry extends Omit<DeadJob, OnlyInQueue> {
  /** How the last attempt ended. */
  readonly error: string;
  readonly failed_at: number;
}

/** Leaves out what only makes sense in the queue; every other field stays, known to this version or not. */
export function deadEntryOf(job: DeadJob): DeadEntry {
  const { id, command, attempts, max_retries, updated_at, last_error, state, run_at, ...rest } = job;
  const { processing_started_at, worker_id, ...kept } = rest;
  const known = { id, command, attempts, max_retries, error: last_error, failed_at: updated_at };
  return { ...known, ...kept, ...known }; // in this order, and an unknown field of such a name yields
}

export function deadJobOf(entry: DeadEntry): DeadJob {
  const { id, command, attempts, max_retries, error, failed_at, created_at, ...rest } = entry;
  const known = {
    id,
    command,
    state: 'dead',
    attempts,
    max_retries,
    run_at: failed_at,
    created_at,
    updated_at: failed_at,
    processing_started_at: null,
    worker_id: null,
    last_error: error,
  } as const;
  return { ...known, ...rest, ...known };
}

/** Those of the job, but for what only makes sense in the queue. */
const { state, run_at, updated_at, processing_started_at, worker_id, last_error, claim_id, ...SHARED_RULES } =
  JOB_RULES;
const RULES: Readonly<Record<keyof DeadEntry, Rule>> = { ...SHARED_RULES, error: stringRule, failed_at: timeRule };

/** @returns what is wrong with it, or undefined when it is the entry of a dead job */
export const findDeadEntryFault = (value: unknown): string | undefined => findFault(value, RULES, OPTIONAL_FIELDS);
