import { findFault, integerRule, orNull, type Rule, stringRule, timeRule } from './rules.js';

/** When a process was heard of, by the two clocks of whoever took it down. */
export interface SignOfLife {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Milliseconds since the boot, by a clock that stands still while the machine sleeps; it means nothing to another boot. */
  readonly monotonic: number;
}

/** One running worker process, or one supervisor of workers. */
export interface WorkerRecord {
  readonly id: string;
  readonly role: 'worker' | 'supervisor';
  readonly pid: number;
  /** As the operating system tells it; with `boot_id` it tells this process from a later one with the same pid. */
  readonly start_time: string;
  readonly boot_id: string;
  /** The machine, or the container, the same after a restart; absent in what version 0.1.0 wrote. */
  readonly host?: string;
  readonly started_at: number;
  readonly pid_namespace?: string;
  /** The supervisor that forked this worker; null for a supervisor. */
  readonly supervisor_id: string | null;
  /** Of a supervisor: how many of its workers it could not start again, and why. */
  readonly missing?: { readonly count: number; readonly reason: string };
  /** Its last sign of life: the store tells it of each record that it lists. */
  readonly heard_of?: SignOfLife;
}

const RULES: Record<'id' | 'role' | 'pid' | 'start_time' | 'boot_id' | 'started_at' | 'supervisor_id', Rule> = {
  id: stringRule,
  role: { holds: (value) => value === 'worker' || value === 'supervisor', words: 'worker or supervisor' },
  pid: integerRule(1, Number.MAX_SAFE_INTEGER),
  start_time: stringRule,
  boot_id: stringRule,
  started_at: timeRule,
  supervisor_id: orNull(stringRule),
};
const OPTIONAL_RULES: Record<'pid_namespace' | 'host' | 'missing', Rule> = {
  pid_namespace: stringRule,
  host: stringRule,
  missing: {
    holds: (value) =>
      findFault(value, { count: integerRule(1, Number.MAX_SAFE_INTEGER), reason: stringRule }, new Set()) === undefined,
    words: 'how many workers are missing, and why',
  },
};

/** @returns what is wrong with it, or undefined when it is the record of a process */
export const findWorkerFault = (value: unknown): string | undefined =>
  findFault(value, { ...RULES, ...OPTIONAL_RULES }, new Set(Object.keys(OPTIONAL_RULES)));
