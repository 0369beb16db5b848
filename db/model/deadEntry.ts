/** A dead job as `dlq-list` prints it, and as dlq.json has kept it since version 0.1.0. */
import type { DeadJob } from './job.js';
import {
  commandRule,
  directoryRule,
  findFault,
  idRule,
  integerRule,
  priorityRule,
  type Rule,
  stringRule,
  timeoutRule,
  timeRule,
} from './rules.js';

export interface DeadEntry {
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
  readonly attempts_before?: number;
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

const RULES: Record<keyof DeadEntry, Rule> = {
  id: idRule,
  command: commandRule,
  attempts: integerRule(0, Number.MAX_SAFE_INTEGER),
  max_retries: integerRule(0, Number.MAX_SAFE_INTEGER),
  error: stringRule,
  failed_at: timeRule,
  created_at: timeRule,
  priority: priorityRule,
  timeout: timeoutRule,
  cwd: directoryRule,
  attempts_before: integerRule(0, Number.MAX_SAFE_INTEGER),
};
const OPTIONAL_FIELDS = new Set(['priority', 'timeout', 'cwd', 'attempts_before']);

/** @returns what is wrong with it, or undefined when it is the entry of a dead job */
export const findDeadEntryFault = (value: unknown): string | undefined => findFault(value, RULES, OPTIONAL_FIELDS);
