/** What the system lets this process have. */
import { readFileSync } from 'node:fs';
import { errnoCode } from './errors.js';

/**
 * A soft limit of this process (getrlimit(2)).
 *
 * @param name as /proc has it
 * @returns Infinity where there is none; undefined where it cannot be told
 */
export function softLimit(name: 'Max stack size' | 'Max open files'): number | undefined {
  const [, limit] = new RegExp(`^${name} +(\\d+|unlimited)`, 'm').exec(readLimits()) ?? [];
  if (limit === undefined) return undefined;
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return '';
  }
}
