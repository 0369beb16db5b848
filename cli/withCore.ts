import { existsSync } from 'node:fs';
import { type Core, openCore } from '../core/open.js';
import { findSharing } from '../utils/fileSystem.js';
import { warn } from './text/output.js';

/**
 * Opens the store in a directory, does the work, and closes the store whatever happened.
 *
 * When the work is done but the store's files could not be brought up to date, that is a warning and no failure:
 * whoever tried again would enqueue twice.
 */
export async function withCore<T>(dataDir: string, work: (core: Core) => Promise<T>): Promise<T> {
  const isNew = !existsSync(dataDir);
  const core = openCore(dataDir);
  let result: T;
  try {
    result = await work(core);
  } catch (error) {
    await core.close();
    throw error;
  }
  const failure = await core.close();
  if (failure !== undefined) {
    warn(`the work is done and on disk, but ${failure.fact}. The next command tries again.`);
  }
  if (isNew && existsSync(dataDir)) warnOfSharing(dataDir);
  return result;
}

/** Says so if the store lies where its promises cannot be kept. */
export function warnOfSharing(dataDir: string): void {
  const sharing = findSharing(dataDir);
  if (sharing === undefined) return;
  warn(`${dataDir} is in ${sharing}, where jobs may be lost or run twice. Choose a local directory with --data-dir.`);
}
