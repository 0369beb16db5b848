/** What follows when an attempt ends. Pure: everything it depends on is an argument. */

import type { ProcessingJob } from './job.js';
import { LATEST_TIME } from './rules.js';
import type { Config } from './settings.js';

/** How an attempt ended. `lastLine` is the last line of its output, without control characters; empty if none. */
export type Outcome =
  | { readonly kind: 'exited'; readonly code: number; readonly lastLine: string }
  | { readonly kind: 'signaled'; readonly signal: string; readonly lastLine: string }
  | { readonly kind: 'timed out'; readonly seconds: number; readonly lastLine: string }
  | {
      readonly kind: 'not started';
      readonly reason: string;
      /** What kept it from starting would keep every other command: the attempt is not to count. */
      readonly hindrance?: boolean;
    }
  | { readonly kind: 'worker died' }
  /** Its worker was told to end it at once: the attempt is not to count. */
  | { readonly kind: 'given back' };

/** What is to be done with the job. */
export type Decision =
  | { readonly next: 'complete' }
  | { readonly next: 'fail'; readonly runAt: number; readonly error: string }
  | { readonly next: 'bury'; readonly error: string }
  | { readonly next: 'release' };

/**
 * Decides what becomes of a claimed job whose attempt has ended.
 *
 * @param job the job as it was claimed: `attempts` counts the attempt that ended
 * @param now milliseconds since the epoch
 * @param random from 0 up to 1; only used where jitter is wanted
 */
export function afterAttempt(
  job: Pick<ProcessingJob, 'attempts' | 'max_retries'>,
  outcome: Outcome,
  config: Backoff,
  now: number,
  random: number,
): Decision {
  if (outcome.kind === 'exited' && outcome.code === 0) return { next: 'complete' };
  if (outcome.kind === 'given back' || (outcome.kind === 'not started' && outcome.hindrance))
    return { next: 'release' };
  const error = describeOutcome(outcome);
  if (job.attempts > job.max_retries) return { next: 'bury', error };
  return { next: 'fail', runAt: nextRunAt(job.attempts, config, now, random), error };
}

type Backoff = Pick<Config, 'backoff_base' | 'backoff_max' | 'backoff_jitter'>;

/**
 * When a retry begins: `backoff_base ^ retry` seconds from now, capped at `backoff_max` (truncated exponential backoff),
 * less up to `backoff_jitter` of it at random, so that jobs which failed together do not all come back together; with a
 * jitter of 1 it is the "full jitter" of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
 *
 * @param retry 1 for the first retry
 * @param random from 0 up to 1
 * @returns integer milliseconds since the epoch
 */
export function nextRunAt(
  retry: number,
  { backoff_base, backoff_max, backoff_jitter }: Backoff,
  now: number,
  random: number,
): number {
  const seconds = Math.min(backoff_base ** retry, backoff_max) * (1 - backoff_jitter * random);
  return Math.min(now + Math.round(seconds * 1000), LATEST_TIME);
}

/** The one place that words how an attempt failed, as it stands in `last_error` and in the DLQ's `error`. */
export function describeOutcome(outcome: Exclude<Outcome, { kind: 'given back' }>): string {
  switch (outcome.kind) {
    case 'exited':
      return withLastLine(`exit code ${outcome.code}`, outcome.lastLine);
    case 'signaled':
      return withLastLine(`killed by ${outcome.signal}`, outcome.lastLine);
    case 'timed out':
      return withLastLine(`timed out after ${outcome.seconds} s`, outcome.lastLine);
    case 'not started':
      return `could not be started: ${outcome.reason}`;
    case 'worker died':
      return 'its worker died';
  }
}

const withLastLine = (end: string, lastLine: string) => (lastLine === '' ? end : `${end}: ${lastLine}`);
