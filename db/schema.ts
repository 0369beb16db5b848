/**
 * The records of the store and the checks that let them in.
 *
 * Times are integers, milliseconds since the epoch. What comes from outside (a file, the command line) is checked here
 * once and is a typed record from then on. Fields this version does not know are kept as they are.
 */
import { QueuectlError } from '../utils/errors.js';

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

export interface Config {
  /** Retries of a job that does not say. */
  readonly max_retries: number;
  /** The delay before retry n is `backoff_base ^ n` seconds … */
  readonly backoff_base: number;
  /** … but no more than so many … */
  readonly backoff_max: number;
  /** … of which up to this part is left out at random: 0 none, 1 any part. */
  readonly backoff_jitter: number;
  /** Seconds that an attempt of a job that does not say may last; 0 means that there is no limit. */
  readonly job_timeout: number;
  /** Seconds that a command which is ended has between SIGTERM and SIGKILL. */
  readonly kill_grace: number;
  /** What an attempt prints beyond so many bytes is cut off; 0 means that there is no limit. */
  readonly log_max_bytes: number;
  /** Milliseconds; the longest an idle worker sleeps if nothing wakes it. */
  readonly worker_idle_delay: number;
}
export type ConfigKey = keyof Config;

/** One running worker process, or one supervisor of workers. */
export interface WorkerRecord {
  readonly id: string;
  readonly role: 'worker' | 'supervisor';
  readonly pid: number;
  /** As the operating system tells it; with `boot_id` it tells this process from a later one with the same pid. */
  readonly start_time: string;
  readonly boot_id: string;
  readonly started_at: number;
  readonly pid_namespace?: string;
  /** The supervisor that forked this worker; null for a supervisor. */
  readonly supervisor_id: string | null;
  /** When it was heard of last, in monotonic milliseconds; told of those elsewhere, and not in the file. */
  readonly heard_of_at?: number;
}

export const MAX_RETRIES_LIMIT = 1000;
const ID_MAX_CHARACTERS = 255;
export const PRIORITY_LIMIT = 1_000_000;
/** Seconds; Node's timers take no more than 2^31 - 1 milliseconds. */
export const TIMEOUT_LIMIT = 2_147_483;
/** Seconds: 31 years. */
const BACKOFF_LIMIT = 1_000_000_000;
/** The latest time a JavaScript date can hold (ECMA-262, 21.4.1.1). */
export const LATEST_TIME = 8_640_000_000_000_000;

/** What a field's value must be: a test, and the words that complete "must be …". */
interface Rule {
  readonly holds: (value: unknown) => boolean;
  readonly words: string;
}

const isInteger = (from: number, to: number) => (value: unknown) =>
  typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]/;

const integerRule = (from: number, to: number): Rule => ({
  holds: isInteger(from, to),
  words: `an integer from ${from} to ${to}`,
});
const timeRule: Rule = { holds: isInteger(0, LATEST_TIME), words: 'a time in integer milliseconds since the epoch' };
const stringRule: Rule = { holds: (value) => typeof value === 'string', words: 'a string' };
const idRule: Rule = {
  holds: (value) =>
    typeof value === 'string' &&
    value !== '' &&
    (value.length <= ID_MAX_CHARACTERS || [...value].length <= ID_MAX_CHARACTERS) && // the first is much faster
    !CONTROL_CHARACTERS.test(value) &&
    value.isWellFormed(),
  words: `a string of 1 to ${ID_MAX_CHARACTERS} characters without control characters`,
};
const commandRule: Rule = {
  holds: (value) => typeof value === 'string' && value.trim() !== '' && !value.includes('\0') && value.isWellFormed(),
  words: 'a string that is not empty and has no NUL character',
};
const numberRule = (from: number, to: number): Rule => ({
  holds: (value) => typeof value === 'number' && value >= from && value <= to,
  words: `a number from ${from} to ${to}`,
});
const timeoutRule: Rule = {
  holds: (value) => typeof value === 'number' && value > 0 && value <= TIMEOUT_LIMIT,
  words: `a number of seconds above 0, at most ${TIMEOUT_LIMIT}`,
};
const retriesRule = integerRule(0, MAX_RETRIES_LIMIT);
const priorityRule = integerRule(-PRIORITY_LIMIT, PRIORITY_LIMIT);
const directoryRule: Rule = {
  holds: (value) => typeof value === 'string' && value.startsWith('/') && !value.includes('\0') && value.isWellFormed(),
  words: 'an absolute path',
};
const orNull = (rule: Rule): Rule => ({
  holds: (value) => value === null || rule.holds(value),
  words: `${rule.words}, or null`,
});

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

type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Says what is wrong with a record, as in `"attempts" must be an integer from 0 to …`, or undefined. */
function findFault(value: unknown, rules: Record<string, Rule>): string | undefined {
  if (!isFields(value)) return 'not an object';
  for (const [field, rule] of Object.entries(rules)) {
    const found = value[field];
    if (found === undefined && OPTIONAL_FIELDS.has(field)) continue;
    if (found === undefined) return `"${field}" is missing`;
    if (!rule.holds(found)) return `"${field}" must be ${rule.words}`;
  }
  return undefined;
}

/**
 * Checks one element of queue.json.
 *
 * @returns what is wrong with it, or undefined when it is a job
 */
export function findJobFault(value: unknown): string | undefined {
  const fault = findFault(value, JOB_RULES);
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
export const findDeadJobFault = (value: unknown): string | undefined => findFault(value, DEAD_JOB_RULES);

/** A job as its caller describes it; what is absent is filled in at enqueue. */
export interface JobInput {
  readonly id?: string;
  readonly command: string;
  readonly max_retries?: number;
  readonly run_at?: number;
  readonly priority?: number;
  /** Seconds. */
  readonly timeout?: number;
  readonly cwd?: string;
}

const INPUT_RULES: Record<keyof JobInput, Rule> = {
  id: idRule,
  command: commandRule,
  max_retries: retriesRule,
  run_at: timeRule,
  priority: priorityRule,
  timeout: timeoutRule,
  cwd: directoryRule,
};
const INPUT_RULES_BY_NAME = new Map<string, Rule>(Object.entries(INPUT_RULES));

/**
 * Checks a job description from outside.
 *
 * @throws QueuectlError INVALID: not an object, a field missing, unknown or out of range
 */
export function checkJobInput(value: unknown): JobInput {
  const invalid = (fact: string, remedy: string) => new QueuectlError('INVALID', fact, remedy);
  if (!isFields(value)) {
    throw invalid('a job must be a JSON object', 'Example: {"id":"job1","command":"echo hi"}.');
  }
  if (value.command === undefined) throw invalid('the job has no "command"', 'Add "command" with the shell command.');
  for (const field of Object.keys(value)) {
    const found = value[field];
    const rule = INPUT_RULES_BY_NAME.get(field);
    if (rule === undefined) {
      const known = Object.keys(INPUT_RULES).join(', ');
      throw invalid(`unknown field ${quote(field)} in the job`, `Known fields: ${known}.`);
    }
    if (!rule.holds(found)) throw invalid(`"${field}" must be ${rule.words}, not ${quote(found)}`, 'Correct the job.');
  }
  return value as unknown as JobInput; // every field has just been checked
}

/** A value as it stands in a message: JSON, cut to a length that fits one line. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

export const DEFAULT_CONFIG: Config = {
  max_retries: 3,
  backoff_base: 2,
  backoff_max: 86_400,
  backoff_jitter: 0,
  job_timeout: 0,
  kill_grace: 5,
  log_max_bytes: 100_000_000,
  worker_idle_delay: 2000,
};

const CONFIG_RULES: Record<ConfigKey, Rule> = {
  max_retries: retriesRule,
  backoff_base: numberRule(1, 3600),
  backoff_max: numberRule(0, BACKOFF_LIMIT),
  backoff_jitter: numberRule(0, 1),
  job_timeout: numberRule(0, TIMEOUT_LIMIT),
  kill_grace: numberRule(0, 3600),
  log_max_bytes: integerRule(0, 1_000_000_000_000),
  worker_idle_delay: integerRule(10, 3_600_000),
};

export const CONFIG_KEYS = Object.keys(CONFIG_RULES) as ConfigKey[]; // a Record's keys are its key type

const OLD_CONFIG_KEYS = new Map<string, ConfigKey>([
  ['max_retries_default', 'max_retries'],
  ['default_max_retries', 'max_retries'],
]);

/** The key that a name stands for, older spellings included, or undefined. */
export const findConfigKey = (name: string): ConfigKey | undefined =>
  OLD_CONFIG_KEYS.get(name) ?? CONFIG_KEYS.find((known) => known === name);

/**
 * The key a user means by a name, older spellings included.
 *
 * @throws QueuectlError INVALID: no such key
 */
export function checkConfigKey(name: string): ConfigKey {
  const key = findConfigKey(name);
  if (key !== undefined) return key;
  throw new QueuectlError('INVALID', `unknown config key ${quote(name)}`, `Known keys: ${CONFIG_KEYS.join(', ')}.`);
}

/** What is wrong with a setting's value, as in `must be a number from 1 to 3600`, or undefined. */
export function findConfigFault(key: ConfigKey, value: unknown): string | undefined {
  return CONFIG_RULES[key].holds(value) ? undefined : `must be ${CONFIG_RULES[key].words}`;
}
