import { QueuectlError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';

/**
 * Reads the value of a flag that takes an integer.
 *
 * @param flag as in `--count`
 * @returns undefined when the flag was not given
 * @throws QueuectlError USAGE: not an integer, or out of range
 */
export function readInteger(flag: string, text: string | undefined, from: number, to: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= from && value <= to) return value;
  throw new QueuectlError(
    'USAGE',
    `${flag} must be an integer from ${from} to ${to}, not ${quote(text)}`,
    'Correct the number.',
  );
}

/** As `readInteger`, for a number of seconds, which may have a fraction. */
export function readSeconds(flag: string, text: string | undefined, to: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\+?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (value <= to) return value;
  throw new QueuectlError(
    'USAGE',
    `${flag} must be a number of seconds from 0 to ${to}, not ${quote(text)}`,
    'Correct the number.',
  );
}
