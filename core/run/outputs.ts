/**
 * Where the outputs of a job's attempts are: each attempt has a file of its own, which is made anew when it begins.
 *
 * Attempts are numbered over the whole life of a job. Version 0.1.0 had one file for all attempts of a job; such a file counts
 * as the output of those before the others.
 */
import fs from 'node:fs';
import { errnoCode, storageError } from '../../utils/errors.js';
import { makeDirectory, sha256 } from '../../utils/files.js';

const PLAIN = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;
const OUTPUT = /^(.+?)(?:~[1-9]\d*)?\.log$/;

/** The times of files are up to so many milliseconds behind the clock. */
const FILE_TIME_LAG_MS = 20;

/** More attempts are not looked for: a record that was edited by hand may tell any number. */
const MOST_ATTEMPTS = 100_000;

/** A job as far as its outputs are concerned. */
export interface OutputsOf {
  readonly id: string;
  /** The attempts that have begun, over its whole life. */
  readonly attempts: number;
  /** An output that was written to last before is of another job, which had the same id; milliseconds since the epoch. */
  readonly since: number;
}

/**
 * What the names of a job's outputs begin with: the id itself where it is plain, else `~` and a hash of it, so that an id like
 * `../../etc/passwd` stays in the directory and two ids never share a file.
 */
const stemOf = (id: string) => (PLAIN.test(id) ? id : `~${sha256(id).slice(0, 32)}`);

/** The file for the output of an attempt, the first of which is 1. Its directory is there. @throws QueuectlError STORAGE */
export function outputFile(logs: string, id: string, attempt: number): string {
  try {
    makeDirectory(logs);
  } catch (error) {
    throw storageError(error, `make ${logs}`);
  }
  return `${logs}/${stemOf(id)}~${attempt}.log`;
}

/** The files with the outputs of a job so far, in the order of its attempts. @throws QueuectlError STORAGE */
export function outputsOf(logs: string, { id, attempts, since }: OutputsOf): string[] {
  if (attempts === 0) return [];
  const stem = stemOf(id);
  const numbers = Array.from({ length: Math.min(attempts, MOST_ATTEMPTS) }, (_, at) => at + 1);
  return [`${stem}.log`, ...numbers.map((number) => `${stem}~${number}.log`)]
    .map((name) => `${logs}/${name}`)
    .filter((file) => lastChange(file) >= since - FILE_TIME_LAG_MS);
}

/** The names of outputs in a directory that are of none of these jobs, and how many there are in all. */
export function findStray(names: readonly string[], ids: readonly string[]): { stray: string[]; count: number } {
  const outputs = names.filter((name) => OUTPUT.test(name));
  const stems = new Set(ids.map(stemOf));
  return { stray: outputs.filter((name) => !stems.has(OUTPUT.exec(name)?.[1] ?? '')), count: outputs.length };
}

/** @returns minus infinity when there is no such file */
function lastChange(file: string): number {
  try {
    return fs.lstatSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Number.NEGATIVE_INFINITY;
  } catch (error) {
    if (errnoCode(error) === 'ENOTDIR') return Number.NEGATIVE_INFINITY;
    throw storageError(error, `look at ${file}`);
  }
}
