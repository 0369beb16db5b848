/**
 * Fold: write the journal's changes into the snapshot and start an empty journal.
 *
 * Promise: a crash between any two steps loses nothing, and a process that lost the lock on the way changes nothing.
 * Every file is complete and on disk before the seal makes it due, so a full disk stops a fold before it began:
 *
 *   1. write the snapshot's files and the next journal to temporary files
 *   2. seal the journal: its state is final, and a latecomer's line behind the seal is void
 *   3. the lock must still be ours; rename the snapshot's files into place; the directory to disk
 *   4. rename the next journal into place; the directory to disk
 *
 * Whoever finds a sealed journal starts at 1 and skips 2. Whoever gets the lock removes all temporary files before it
 * reads anything: so a rename by a former holder, stopped between the check and the rename, fails.
 */
import fs from 'node:fs';
import { monotonicMs } from '../../../utils/clock.js';
import { errnoCode, storageError } from '../../../utils/errors.js';
import { identityOf, removeFile, syncDirectory } from '../../../utils/files.js';
import { type HeldLock, LockLostError } from '../../../utils/lock.js';
import { writeTemp } from '../../../utils/tempFiles.js';
import { Journal, type JournalHeader, type NamedFile } from './journal.js';
import type { StorePaths } from './paths.js';
import type { Content } from './snapshot.js';
import { type PerFile, perFile, SNAPSHOT_FILES } from './snapshotFiles.js';
import type { View } from './view.js';

/**
 * Folds the journal of a view that is up to date, under the lock. The view finds the new one when it is refreshed.
 *
 * @param committed given if the view has added jobs that no journal has: called when they are committed, which is when
 *   queue.json is in place
 * @throws LockLostError when the lock was taken over: the fold is left to the new holder
 * @throws QueuectlError STORAGE: nothing has changed, or a sealed journal is left for the next one to finish
 */
export function fold(view: View, paths: StorePaths, held: HeldLock, now: number, committed?: () => void): void {
  const started = monotonicMs();
  const { journal } = view;
  const areAllDue = journal === null || SNAPSHOT_FILES.some(({ name }) => identityOf(paths[name]) === null);
  const contents = perFile((file) => {
    held.renew(); // a long queue takes seconds
    return areAllDue || view.isChangedIn(file) ? view.contentFor(file, () => held.renew()) : null;
  });
  const next: Snapshot = {
    contents,
    header: (named) => ({
      journal: 1,
      first: firstNumberAfter(view, committed !== undefined),
      folded_at: now,
      fold_ms: Math.ceil(monotonicMs() - started),
      ...perFile(({ name }) => named[name] ?? journal?.header[name] ?? null),
    }),
  };
  const seal = () => {
    if (journal !== null && !journal.sealed && journal.seal() !== 'alone') throw new LockLostError();
  };
  replaceSnapshot(paths, held, next, { seal, committed });
}

/** The number that the next journal begins with. A gap before it tells those who follow to read the snapshot again. */
function firstNumberAfter({ journal, isSnapshotAnother }: View, hasUnnumbered: boolean): number {
  if (journal === null) return 1; // there is none to be followed
  const seal = journal.sealed ? 0 : 1;
  return journal.nextSeq + seal + (hasUnnumbered || isSnapshotAnother ? 1 : 0);
}

/** What the files are to hold; null for one that stays. */
export interface Snapshot {
  readonly contents: PerFile<Content | null>;
  /** The first line of the next journal. @param named the files that have been written */
  header(named: PerFile<NamedFile | null>): JournalHeader;
}

/**
 * Puts a snapshot and an empty journal into place, under the lock.
 *
 * @param on.seal called when all is on disk: ends the present journal
 * @param on.committed called when queue.json is in place
 * @throws LockLostError, QueuectlError as `fold` does
 */
export function replaceSnapshot(
  paths: StorePaths,
  held: HeldLock,
  next: Snapshot,
  on: { readonly seal: () => void; readonly committed?: (() => void) | undefined },
): void {
  const temps: string[] = [];
  try {
    const prepared = perFile(({ name }) => {
      held.renew();
      return prepare(paths[name], next.contents[name], temps, () => held.renew());
    });
    const header = next.header(perFile(({ name }) => prepared[name]?.named ?? null));
    const journal = writeTemp(paths.journal, Journal.firstLine(header));
    temps.push(journal.path);
    on.seal();
    if (!held.isMine()) throw new LockLostError();
    for (const { name } of SNAPSHOT_FILES) {
      const file = prepared[name];
      if (file !== null) fs.renameSync(file.temp, paths[name]);
      if (name === 'queue') on.committed?.();
    }
    syncDirectory(paths.dir);
    fs.renameSync(journal.path, paths.journal);
    syncDirectory(paths.dir); // or a power cut would take what is committed to it
  } catch (error) {
    for (const temp of temps) removeFile(temp);
    if (!held.isMine() || isGone(error)) throw new LockLostError(); // another holder has removed the temporary files
    throw storageError(error, `replace ${paths.queue}`);
  }
}

/** Whether a file was not there any more: who gets the lock removes temporary files, and then may lose it to us again. */
const isGone = (error: unknown) =>
  errnoCode(error) === 'ENOENT' || (error instanceof Error && errnoCode(error.cause) === 'ENOENT');

function prepare(
  path: string,
  content: Content | null,
  temps: string[],
  onProgress: () => void,
): { temp: string; named: NamedFile } | null {
  if (content === null) return null;
  const { bytes, crc32 } = content;
  const { path: temp, identity } = writeTemp(path, bytes, onProgress);
  temps.push(temp);
  return { temp, named: { ...identity, crc32 } };
}

/**
 * Replaces a whole file of the store, under the lock.
 *
 * @throws LockLostError, QueuectlError STORAGE: the file is as it was
 */
export function replaceFile(path: string, content: Buffer, paths: StorePaths, held: HeldLock): void {
  let temp: string | undefined;
  try {
    temp = writeTemp(path, content).path;
    if (!held.isMine()) throw new LockLostError();
    fs.renameSync(temp, path);
    syncDirectory(paths.dir);
  } catch (error) {
    if (temp !== undefined) removeFile(temp);
    if (!held.isMine() || isGone(error)) throw new LockLostError(); // another holder has removed the temporary file
    throw storageError(error, `replace ${path}`);
  }
}
