/** Tells who waits for work that others have changed the queue. */
import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import { errnoCode, refusalOf, storageError } from '../../../utils/errors.js';
import { makeDirectory } from '../../../utils/files.js';
import type { Database, Session } from './database.js';

/** How a connection knows the database: the number of the last change, and how many of them are its own. */
interface Version {
  readonly session: Session | undefined;
  readonly seq: number;
  readonly own: number;
}

/**
 * Calls back soon after another connection, of this process or another, has changed a job.
 *
 * Whoever has committed a change touches the database, which the system tells those who watch it; they look at the database
 * only then. (What SQLite itself writes tells too early: it writes its journal before others can see what it has written.)
 *
 * @returns a function that ends it
 * @throws QueuectlError STORAGE
 */
export function subscribeTo(database: Database, onNews: () => void): () => void {
  const path = database.paths.database;
  let isOver = false;
  let seen = database.peek(versionBy); // now: what is committed from here on is news
  let isLooking = false;
  let hasMore = false;

  async function look(): Promise<void> {
    isLooking = true;
    try {
      do {
        hasMore = false;
        const before = seen;
        seen = await database.look(versionBy);
        if (!isOver && isNews(before, seen)) onNews();
      } while (hasMore);
    } catch (error) {
      refusalOf(error); // or the program is at fault
      if (!isOver) onNews(); // who looks for work meets the error
    } finally {
      isLooking = false;
    }
  }

  function lookSoon(): void {
    hasMore = true;
    if (!isOver && !isLooking) void look();
  }

  const end = watch(database, (name) => {
    if (name === null || name === basename(path)) lookSoon();
  });
  return () => {
    isOver = true;
    end();
  };
}

/** @param before undefined when it could not be told */
function isNews(before: Version | undefined, after: Version): boolean {
  if (before === undefined || before.session !== after.session) return true;
  return after.seq - before.seq !== after.own - before.own;
}

function versionBy(session: Session | undefined): Version {
  const seq = Number(session?.get('SELECT seq FROM change')?.seq ?? 0);
  return { session, seq, own: session?.changes ?? 0 };
}

function watch(database: Database, onEvent: (name: string | null) => void): () => void {
  const directory = dirname(database.paths.database);
  try {
    if (!database.wasRemoved()) makeDirectory(directory);
    const watcher = fs.watch(directory, { persistent: false }, (_event, name) => onEvent(name));
    watcher.on('error', () => watcher.close()); // as below
    return () => watcher.close();
  } catch (error) {
    const code = errnoCode(error) ?? '';
    if (['ENOSPC', 'EMFILE', 'ENOSYS'].includes(code)) return () => {}; // changes are still seen, after worker_idle_delay
    throw storageError(error, `watch ${directory}`);
  }
}
