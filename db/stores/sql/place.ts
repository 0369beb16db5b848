/**
 * What lies under the name of a database, and how one gets there: whole, by one call, or not at all.
 *
 * Only a missing file is an empty queue: a database is made under another name and then linked to its own. A repair puts
 * the new one in the place of the damaged one by way of a link to it, so that at no moment is there nothing under the name,
 * and never a database beside the journal of another one, which SQLite would take for its own:
 *
 *     queue.db  damaged  →  link to the new one, and the old journal goes  →  the new one
 *
 * A process that is killed amid that leaves the link. It names the new one, and by that the process.
 */
import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import { errnoCode, QueuectlError, storageError } from '../../../utils/errors.js';
import {
  damaged,
  findTempFiles,
  makeDirectory,
  removeFile,
  syncDirectory,
  type TempFile,
} from '../../../utils/files.js';
import { pidRuns } from '../../../utils/processIdentity.js';
import { randomHex } from '../../../utils/random.js';
import { type Connection, loadDriver } from './driver.js';
import type { SqlitePaths } from './paths.js';
import { notOurs, sqliteError } from './resultCode.js';
import { migrate } from './schema.js';

export type Place =
  | { readonly kind: 'nothing' }
  /** Tells the file from another one of the same name. */
  | { readonly kind: 'database'; readonly identity: string }
  /** A database that has lost all it had: none is ever made so. */
  | { readonly kind: 'no bytes' }
  /** A journal whose database is gone. Beside a new one it would be read as that one's. */
  | { readonly kind: 'journal alone' }
  /** The file that is to take its place, and who does that. */
  | { readonly kind: 'repair'; readonly next: TempFile };

/** @throws QueuectlError STORAGE, DAMAGED: a link, or no file */
export function lookAt(paths: SqlitePaths): Place {
  const { database, wal } = paths;
  try {
    const stat = lstat(database);
    if (stat?.isSymbolicLink()) return { kind: 'repair', next: nextOf(database) };
    if (stat !== undefined) {
      if (!stat.isFile()) throw notOurs(database, 'no file');
      return stat.size === 0 ? { kind: 'no bytes' } : { kind: 'database', identity: `${stat.dev}:${stat.ino}` };
    }
    if ((lstat(wal)?.size ?? 0) === 0) return { kind: 'nothing' };
    return lstat(database) === undefined ? { kind: 'journal alone' } : lookAt(paths); // made in between
  } catch (error) {
    throw storageError(error, `use ${database}`);
  }
}

const lstat = (path: string) => fs.lstatSync(path, { throwIfNoEntry: false });

/** @throws the system's error, and ELOOP for a link that no repair has made */
function nextOf(database: string): TempFile {
  const name = fs.readlinkSync(database);
  const next = tempFilesOf(database).find(({ path }) => basename(path) === name);
  if (next === undefined) throw Object.assign(new Error('a link'), { code: 'ELOOP' });
  return next;
}

const tempFilesOf = (database: string) =>
  findTempFiles(dirname(database)).filter(({ target }) => target === basename(database));

export const isUnderWay = ({ pid }: TempFile): boolean => pidRuns(pid);

/** Why there is no use of what lies there, until `doctor --fix` has mended it. */
export function placeFault(
  kind: 'no bytes' | 'journal alone' | 'repair',
  { database, wal }: SqlitePaths,
): QueuectlError {
  if (kind === 'no bytes') return damaged(database, 'it is empty, and was never made so');
  if (kind === 'journal alone') return damaged(database, `it is gone, and its journal ${wal} is not`);
  return new QueuectlError('DAMAGED', `the repair of ${database} was cut short`, '`queuectl doctor --fix` ends it.', {
    data: { path: database },
  });
}

/** A name beside a database that nobody else has. */
export const tempName = (database: string): string => `${database}.${process.pid}-${randomHex(16)}.tmp`;

/** What makers and repairs that were killed have left. */
export function leftoversOf({ database }: SqlitePaths): string[] {
  return tempFilesOf(database).flatMap((temp) => (isUnderWay(temp) ? [] : [temp.path]));
}

/** Makes an empty queue, unless somebody else has just done so. @throws QueuectlError STORAGE */
export function makeDatabase(paths: SqlitePaths): void {
  const { database } = paths;
  const temp = tempName(database);
  try {
    for (const path of leftoversOf(paths)) removeFile(path);
    writeDatabase(temp, () => {});
    fs.linkSync(temp, database);
    syncDirectory(dirname(database));
  } catch (error) {
    if (errnoCode(error) !== 'EEXIST') throw storageError(sqliteError(error, database), `make ${database}`);
  } finally {
    removeFile(temp);
  }
}

/** Who made the database may have been killed before it removed the name that it had for it. @throws QueuectlError STORAGE */
export function removeOtherName(paths: SqlitePaths): void {
  if ((lstat(paths.database)?.nlink ?? 1) === 1) return;
  for (const path of leftoversOf(paths)) removeFile(path);
}

/** Writes a database of this version to a new file with mode 0600, on disk when this returns. @throws SQLite's and the system's errors */
export function writeDatabase<T>(path: string, fill: (connection: Connection) => T): T {
  fs.closeSync(fs.openSync(path, 'wx', 0o600)); // SQLite would give it the mode that the umask says
  const connection = loadDriver().connect(path);
  try {
    // Nobody will ever go on with half of it, so it needs no journal on the disk.
    connection.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL; BEGIN IMMEDIATE');
    migrate(connection);
    const result = fill(connection);
    connection.exec('COMMIT');
    return result;
  } finally {
    connection.close();
  }
}

/**
 * Puts a new database in the place of a damaged one, which is kept with its journal. Whoever calls it has the write lock of
 * the damaged one.
 *
 * @param next is beside it, on disk, and named by `tempName`
 * @throws QueuectlError STORAGE
 */
export function replaceDatabase(paths: SqlitePaths, next: string, kept: string): void {
  const { database, wal } = paths;
  const link = tempName(database);
  try {
    makeDirectory(kept);
    for (const path of [database, wal]) {
      if (lstat(path) !== undefined) fs.linkSync(path, `${kept}/${basename(path)}`);
    }
    fs.symlinkSync(basename(next), link);
    for (const directory of [kept, dirname(database)]) syncDirectory(directory);
    fs.renameSync(link, database);
  } catch (error) {
    removeFile(link);
    throw storageError(error, `keep ${database} in ${kept}`);
  }
  finishReplacing(paths, next);
}

/** The rest of it, once the name is a link to the new one: what another process has begun too. @throws QueuectlError STORAGE */
export function finishReplacing({ database, wal, shm }: SqlitePaths, next: string): void {
  try {
    syncDirectory(dirname(database));
    for (const path of [wal, shm]) removeFile(path);
    syncDirectory(dirname(database));
    fs.renameSync(next, database);
    syncDirectory(dirname(database));
  } catch (error) {
    throw storageError(error, `put ${next} in the place of ${database}`);
  }
}

/** Moves away what is left of a database, its journal last. @throws QueuectlError STORAGE */
export function setAside({ database, wal, shm }: SqlitePaths, kept: string): void {
  try {
    makeDirectory(kept);
    for (const path of [database, shm, wal]) {
      if (lstat(path) !== undefined) fs.renameSync(path, `${kept}/${basename(path)}`);
    }
    for (const directory of [kept, dirname(database)]) syncDirectory(directory);
  } catch (error) {
    throw storageError(error, `move ${database} to ${kept}`);
  }
}
