import { existsSync } from 'node:fs';
import { type Core, openCore } from '../core/open.js';
import { QueuectlError } from '../utils/errors.js';
import { findSharing } from '../utils/fileSystem.js';
import { type Place, pathOf } from './line/address.js';
import { note, warn } from './text/output.js';

/**
 * Opens the store at a place, does the work, and closes the store whatever happened.
 *
 * @param work may call `sayIfNew` once the queue is made, if it goes on long; else that is said at the end
 *
 * When the work is done but the store's files could not be brought up to date, that is a warning and no failure:
 * whoever tried again would enqueue twice.
 */
export async function withCore<T>(place: Place, work: (core: Core, sayIfNew: () => void) => Promise<T>): Promise<T> {
  const path = pathOf(place);
  const isNew = !existsSync(path);
  let isSaid = !isNew;
  const sayIfNew = () => {
    if (isSaid || !existsSync(path)) return;
    isSaid = true;
    note(`a new queue begins in ${path}`); // its name may be mistyped
    warnOfSharing(path);
  };
  let isDone = false;
  const core = openCore(place.address, (warning) => {
    if (isDone) warn(`the work is done and on disk, but ${warning.fact}. The next command tries again.`);
  });
  let result: T;
  try {
    result = await work(core, sayIfNew);
    isDone = true;
  } catch (error) {
    const isMissed = isNew && error instanceof QueuectlError && error.code === 'NOT_FOUND' && !existsSync(path);
    throw isMissed ? error.with({ remedy: `There is no queue in ${path} yet.` }) : error;
  } finally {
    await core.close();
  }
  sayIfNew();
  if (!isSaid) warn(`there is no queue in ${path} yet`);
  return result;
}

/** Says so if the store lies where its promises cannot be kept. */
export function warnOfSharing(path: string): void {
  const sharing = findSharing(path);
  if (sharing === undefined) return;
  warn(`${path} is in ${sharing}, where jobs may be lost or run twice. Choose a local directory with --data-dir.`);
}
