/**
 * An advisory lock for short, synchronous sections.
 *
 * `proper-lockfile` makes the lock (a directory) and takes over a stale one by rmdir and mkdir, so for a moment two
 * processes can each believe that they hold it. Whoever must not act on a lost lock asks `isMine` first.
 */
import fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import lockfile from 'proper-lockfile';
import { errnoCode, QueuectlError } from './errors.js';

/** A lock this old was left by a process that is dead or stopped. Sections that last longer call `renew`. */
const STALE_MS = 3000;
const GIVE_UP_MS = 60_000;
const LONGEST_WAIT_MS = 20;

export class LockLostError extends Error {
  constructor() {
    super('the lock was taken over by another process');
    this.name = 'LockLostError';
  }
}

export interface HeldLock {
  /** Whether it was taken from a holder that may still wake up and believe it holds the lock. */
  readonly takenOver: boolean;
  isMine(): boolean;
  /** Says that the holder is alive. @throws LockLostError */
  renew(): void;
  unlock(): void;
}

/**
 * Waits for the lock.
 *
 * @param path the directory that is the lock; its parent exists
 * @throws QueuectlError BUSY: it stayed locked for a minute; any system error other than "locked" at once
 */
export async function lock(path: string): Promise<HeldLock> {
  const started = performance.now();
  for (let tries = 0; ; tries++) {
    const held = tryLock(path);
    if (held !== undefined) return held;
    if (performance.now() - started > GIVE_UP_MS) {
      throw new QueuectlError(
        'BUSY',
        `the store has been locked for ${GIVE_UP_MS / 1000} seconds`,
        `Find out who holds ${path}, then try again.`,
      );
    }
    await waitABit(tries);
  }
}

/**
 * Short random waits keep the turns fair: with 0.2 to 1 ms four processes took 3,500 turns a second, evenly, where an
 * exponential wait let one process take thousands of turns and another a single one. They grow with the crowd.
 */
async function waitABit(tries: number): Promise<void> {
  const waitMs = Math.min((0.2 + 0.8 * Math.random()) * (1 + tries / 50), LONGEST_WAIT_MS);
  if (waitMs >= 1) await delay(waitMs);
  else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, waitMs); // timers are no finer than 1 ms
}

function tryLock(path: string): HeldLock | undefined {
  let takenOver = false;
  let lost = false;
  const onRmdir = (directory: fs.PathLike) => {
    if (release === undefined)
      takenOver = true; // still acquiring: this removes a stale lock
    else if (lost) return; // somebody else's by now
    fs.rmdirSync(directory);
  };
  let release: (() => void) | undefined;
  try {
    release = lockfile.lockSync(path, {
      lockfilePath: path,
      realpath: false,
      stale: STALE_MS,
      fs: {
        mkdirSync: (directory: string) => fs.mkdirSync(directory, 0o700),
        rmdirSync: onRmdir,
        statSync: fs.statSync,
        utimesSync: fs.utimesSync,
        realpathSync: fs.realpathSync,
      },
      onCompromised: () => {
        lost = true;
      },
    });
  } catch (error) {
    const code = errnoCode(error);
    // ENOENT, EEXIST: the holder released it, or somebody else took it, between two steps of ours
    if (code === 'ELOCKED' || ((code === 'ENOENT' || code === 'EEXIST') && takenOver)) return undefined;
    throw error;
  }
  const unlockFile = release;
  let mark = markOf(path);
  const isMine = () => {
    lost ||= mark === undefined || markOf(path) !== mark;
    return !lost;
  };
  return {
    takenOver,
    isMine,
    renew() {
      if (!isMine()) throw new LockLostError();
      const now = new Date();
      fs.utimesSync(path, now, now);
      mark = markOf(path);
    },
    unlock() {
      isMine();
      try {
        unlockFile();
      } catch (error) {
        if (errnoCode(error) !== 'ERELEASED') throw error; // proper-lockfile noticed the loss before us
      }
    },
  };
}

/** Tells this lock directory from one made later at the same place, which may get the same inode. */
function markOf(path: string): string | undefined {
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.dev}:${stat.ino}:${stat.ctimeNs}:${stat.mtimeNs}`;
}
