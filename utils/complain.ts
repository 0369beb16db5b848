import fs from 'node:fs';
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
