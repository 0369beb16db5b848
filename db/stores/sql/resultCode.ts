/** What SQLite reports, in the house's words. */
import fs from 'node:fs';
import { dirname } from 'node:path';
import { errnoCode, NOT_REGULAR, QueuectlError, storageError } from '../../../utils/errors.js';
import { freeBytes } from '../../../utils/fileSystem.js';
import { damaged, noSpace } from '../../../utils/files.js';
import { sqlitePaths } from './paths.js';

const SHARED_BYTES = 32_768;

/** By the primary result codes of https://www.sqlite.org/rescode.html. */
const CODES = {
  PERM: 3,
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  PROTOCOL: 15,
  NOTADB: 26,
} as const;
type Code = keyof typeof CODES;
const NAMES = Object.keys(CODES) as Code[]; // a Record's keys are its key type

/**
 * What kind of error of SQLite it is. node:sqlite tells the extended code as a number, better-sqlite3 as a name.
 *
 * @returns `other` for one of SQLite's that needs no case of its own; undefined for any other error
 */
export function resultCode(error: unknown): Code | 'other' | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }; // looked at next
  if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') {
    return NAMES.find((name) => CODES[name] === (errcode & 0xff)) ?? 'other';
  }
  if (typeof code !== 'string' || !code.startsWith('SQLITE_')) return undefined;
  return NAMES.find((name) => code === `SQLITE_${name}` || code.startsWith(`SQLITE_${name}_`)) ?? 'other';
}

/** Somebody else has the database for a moment. */
export const isBusy = (error: unknown): boolean => {
  const code = resultCode(error);
  return code === 'BUSY' || code === 'LOCKED' || code === 'PROTOCOL';
};

/**
 * Puts what SQLite reports into words for the user.
 *
 * @param path the database
 * @returns the error itself when it is none of SQLite's
 */
export function sqliteError(error: unknown, path: string): unknown {
  const code = resultCode(error);
  if (code === undefined) return storageError(error, `use ${path}`);
  const storage = (fact: string, remedy: string) => new QueuectlError('STORAGE', fact, remedy, { cause: error });
  switch (code) {
    case 'FULL':
      return noSpace(path);
    case 'CORRUPT':
      return withCause(damaged(path, 'SQLite cannot make sense of its pages'), error);
    case 'NOTADB':
      return notOurs(path, 'no SQLite database');
    case 'PERM':
    case 'READONLY':
    case 'CANTOPEN':
      return findObstacle(path) ?? storage(`cannot write ${path}`, 'Check who owns it and the directory it is in.');
    case 'IOERR':
      if (hasNoRoom(path)) return noSpace(path);
      return findObstacle(path) ?? storage(`cannot use ${path}: input/output error`, 'Check the disk, and make room.');
    default:
      return storage(`cannot use ${path}: ${(error as Error).message}`, '`queuectl doctor` tells more.'); // it has a code
  }
}

/** Its file of shared memory has 32 KB at the least, and SQLite does not tell that it was for want of room. */
function hasNoRoom(path: string): boolean {
  try {
    return freeBytes(dirname(path)) < SHARED_BYTES;
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return false; // `findObstacle` tells
  }
}

/** SQLite does not tell which call failed, nor why: asked again, the system does. @returns undefined when it finds no fault */
function findObstacle(path: string): unknown {
  const { R_OK, W_OK, X_OK } = fs.constants;
  const { wal, shm } = sqlitePaths(path);
  const parts = [
    { part: dirname(path), mode: R_OK | W_OK | X_OK }, // journals are made in it
    ...[path, ...[wal, shm].filter((file) => fs.existsSync(file))].map((part) => ({ part, mode: R_OK | W_OK })),
  ];
  for (const { part, mode } of parts) {
    try {
      fs.accessSync(part, mode);
      const stat = fs.statSync(part);
      if (part !== dirname(path) && !stat.isFile()) throw errno(stat.isDirectory() ? 'EISDIR' : NOT_REGULAR);
    } catch (error) {
      return storageError(error, `use ${part}`);
    }
  }
  try {
    fs.closeSync(fs.openSync(dirname(path), 'r')); // not the database: to close that would end SQLite's locks
    return undefined;
  } catch (error) {
    return storageError(error, `use ${path}`);
  }
}

const errno = (code: string) => Object.assign(new Error(code), { code });

/** The error for a file of somebody else's, which stays as it is. */
export const notOurs = (path: string, what: string): QueuectlError =>
  new QueuectlError('DAMAGED', `${path} is ${what}`, 'Name another file with --store, or put the right one back.');

function withCause(error: QueuectlError, cause: unknown): QueuectlError {
  error.cause = cause;
  return error;
}
