/**
 * Fold: write the journal's changes into the snapshot and start an empty journal.
 *
 * Promise: a crash between any two steps loses nothing, and a process that lost the lock on the way changes nothing.
 * Every file is complete and on disk before the seal makes it due, so a full disk stops a fold before it began:
 *
 *   1. write queue, dlq and the next journal to temporary files
 *   2. seal the journal: its state is final, and a latecomer's line behind the seal is void
 *   3. the lock must still be ours; rename queue and dlq into place; the directory to disk
 *   4. rename the next journal into place; the directory to disk
 *
 * Whoever finds a sealed journal starts at 1 and skips 2. Whoever gets the lock removes all temporary files before it
 * reads anything: so a rename by a former holder, stopped between the check and the rename, fails.
 */
import fs from 'node:fs';
import { monotonicMs } from '../../utils/clock.js';
import { storageError } from '../../utils/errors.js';
import { identityOf, removeFile, syncDirectory } from '../../utils/files.js';
import { type HeldLock, LockLostError } from '../../utils/lock.js';
import { writeTemp } from '../../utils/tempFiles.js';
import { Journal, type JournalHeader, type NamedFile } from './journal.js';
import type { StorePaths } from './paths.js';
import type { Content, View } from './view.js';

/**
 * Folds the journal of a view that is up to date, under the lock. The view finds the new one when it is refreshed.
 *
 * @param committed given if the view has jobs that no journal has: they are committed when this is called
 * @throws LockLostError when the lock was taken over: the fold is left to the new holder
 * @throws QueuectlError STORAGE: nothing has changed, or a sealed journal is left for the next one to finish
 */
export function fold(view: View, paths: StorePaths, held: HeldLock, now: number, committed?: () => void): void {
  const started = monotonicMs();
  const temps: string[] = [];
  try {
    const fresh = identityOf(paths.dlq) === null || view.journal === null;
    const content = fresh || view.queueChanged ? view.queueContent() : null;
    held.renew(); // a long queue takes seconds
    const queue = content === null ? null : prepare(paths.queue, content, temps);
    held.renew();
    const dlq = fresh || view.dlqChanged ? prepare(paths.dlq, view.dlqContent(), temps) : null;
    const header: JournalHeader = {
      journal: 1,
      first: firstNumberAfter(view, committed !== undefined),
      folded_at: now,
      fold_ms: Math.ceil(monotonicMs() - started),
      queue: queue?.named ?? view.journal?.header.queue ?? null,
      dlq: dlq?.named ?? view.journal?.header.dlq ?? null,
    };
    const journal = writeTemp(paths.journal, Journal.firstLine(header));
    temps.push(journal.path);
    if (view.journal !== null && !view.journal.sealed && view.journal.seal() !== 'alone') throw new LockLostError();
    if (!held.isMine()) throw new LockLostError();
    if (queue !== null) fs.renameSync(queue.temp, paths.queue);
    committed?.();
    if (dlq !== null) fs.renameSync(dlq.temp, paths.dlq);
    syncDirectory(paths.dir);
    fs.renameSync(journal.path, paths.journal);
    syncDirectory(paths.dir); // or a power cut would take what is committed to it
  } catch (error) {
    for (const temp of temps) removeFile(temp);
    if (!held.isMine()) throw new LockLostError(); // the new holder has removed the temporary files
    throw storageError(error, `replace ${paths.queue}`);
  }
}

/** The number that the next journal begins with. A gap before it tells those who follow to read the snapshot again. */
function firstNumberAfter({ journal, snapshotIsAhead }: View, hasUnnumbered: boolean): number {
  const seal = journal === null || journal.sealed ? 0 : 1;
  return (journal?.nextSeq ?? 1) + seal + (hasUnnumbered || snapshotIsAhead ? 1 : 0);
}

function prepare(path: string, { bytes, crc32 }: Content, temps: string[]): { temp: string; named: NamedFile } {
  const { path: temp, identity } = writeTemp(path, bytes);
  temps.push(temp);
  return { temp, named: { ...identity, crc32 } };
}

/**
 * Replaces a whole file of the store, under the lock.
 *
 * @throws LockLostError, QueuectlError STORAGE: the file is as it was
 */
export function replaceFile(path: string, content: Buffer, paths: StorePaths, held: HeldLock): void {
  try {
    const temp = writeTemp(path, content);
    if (!held.isMine()) throw new LockLostError();
    fs.renameSync(temp.path, path);
    syncDirectory(paths.dir);
  } catch (error) {
    if (!held.isMine()) throw new LockLostError(); // the new holder has removed the temporary file
    throw storageError(error, `replace ${path}`);
  }
}
