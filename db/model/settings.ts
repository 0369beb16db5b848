import { QueuectlError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';
import { BACKOFF_LIMIT, integerRule, inUnit, numberRule, type Rule, retriesRule, TIMEOUT_LIMIT } from './rules.js';

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
  backoff_max: inUnit('seconds', numberRule(0, BACKOFF_LIMIT)),
  backoff_jitter: numberRule(0, 1),
  job_timeout: inUnit('seconds', numberRule(0, TIMEOUT_LIMIT)),
  kill_grace: inUnit('seconds', numberRule(0, 3600)),
  log_max_bytes: inUnit('bytes', integerRule(0, 1_000_000_000_000)),
  worker_idle_delay: inUnit('milliseconds', integerRule(10, 3_600_000)),
};

/** What each setting says, in a line. */
export const CONFIG_MEANINGS: Readonly<Record<ConfigKey, string>> = {
  max_retries: 'retries of a job that does not say',
  backoff_base: 'retry n begins after backoff_base ^ n seconds',
  backoff_max: 'but after so many seconds at most',
  backoff_jitter: 'the part of that which is left out at random: 0 none, 1 any',
  job_timeout: 'seconds that an attempt of a job that does not say may last; 0 is no limit',
  kill_grace: 'seconds between SIGTERM and SIGKILL for a command that is ended',
  log_max_bytes: 'what an attempt prints beyond is cut off; 0 is no limit',
  worker_idle_delay: 'milliseconds that an idle worker sleeps at most',
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

/** What a setting may be, as in `a number from 1 to 3600`. */
export const configWords = (key: ConfigKey): string => CONFIG_RULES[key].words;

/** What is wrong with a setting's value, as in `must be a number from 1 to 3600`, or undefined. */
export function findConfigFault(key: ConfigKey, value: unknown): string | undefined {
  return CONFIG_RULES[key].holds(value) ? undefined : `must be ${CONFIG_RULES[key].words}`;
}

/** Tells the settings, defaults filled in, from what this version does not know. */
export function sortSettings(values: Readonly<Record<string, unknown>>): {
  found: Record<ConfigKey, unknown>;
  unknown: Record<string, unknown>;
} {
  const found: Record<ConfigKey, unknown> = { ...DEFAULT_CONFIG };
  const unknown: [string, unknown][] = [];
  for (const [name, value] of Object.entries(values)) {
    const key = findConfigKey(name);
    if (key === undefined)
      unknown.push([name, value]); // a newer version's
    else if (key === name || !Object.hasOwn(values, key)) found[key] = value;
  }
  return { found, unknown: Object.fromEntries(unknown) };
}
