import fs from 'node:fs';
import { monotonicMs } from './clock.js';
import { errnoCode } from './errors.js';

const STDERR = 2;

/**
 * Writes a line to stderr, if that can be written: it may be a file on a full disk, and whoever has this to say must go on.
 * (process.stderr would end the process with an `error` event.)
 */
export function complain(text: string): void {
  try {
    fs.writeSync(STDERR, `${text}\n`);
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
  }
}

/** What lasts is said again after so long. */
const REPEAT_AFTER_MS = 600_000;

/** @returns a function that says an error, unless it has said the same within the last ten minutes */
export function withoutRepeats(say: (message: string) => void, clock = monotonicMs): (error: Error) => void {
  const saidAt = new Map<string, number>();
  return ({ message }) => {
    const now = clock();
    for (const [text, at] of saidAt) if (now - at >= REPEAT_AFTER_MS) saidAt.delete(text);
    if (saidAt.has(message)) return;
    saidAt.set(message, now);
    say(message);
  };
}
