/**
 * An advisory lock for short, synchronous sections.
 *
 * `proper-lockfile` makes the lock and takes over a stale one by removing it and making its own, so for a moment two
 * processes can each believe that they hold it. Whoever must not act on a lost lock asks `isMine` first.
 *
 * The lock is a name, not the directory that proper-lockfile would make: a second name of a file that stays. Only one
 * process can make it, and no inode is made and deleted, which ext4 is slow at (measured beside other work: 1,400 µs for
 * a directory, 60 for a file and more the more files are deleted, 10 for a name). The file's change time, which nobody
 * can set, tells how old the lock is. Its modification time tells whose it is: the seconds are the pid, the rest is random.
 */
import fs from 'node:fs';
import { monotonicMs } from './clock.js';
import { delay, pause } from './delay.js';
import { errnoCode, NOT_REGULAR, QueuectlError, storageError } from './errors.js';
import { openToAppend } from './files.js';
import { pidRuns } from './processIdentity.js';
import { WaitingLine } from './waitingLine.js';

type Lockfile = typeof import('proper-lockfile');
let lockfile: Lockfile | undefined;

/** A lock this old was left by a process that is dead … */
const STALE_MS = 3000;
/** … and one this old by a process that is stopped. Sections that may last longer call `renew`. */
const STALE_IF_ALIVE_MS = 10_000;
const RENEW_MS = 1000;
/** So long one holder may keep all others waiting. */
const GIVE_UP_MS = 60_000;
/** Only then does it look who else waits. */
const FREE_TRIES = 30;
/** One of many that wait looks so often whether its turn has come. */
const LOOK_EVERY_MS = 20;

export class LockLostError extends Error {
  constructor() {
    super('the lock was taken over by another process');
    this.name = 'LockLostError';
  }
}

export interface HeldLock {
  isMine(): boolean;
  /** Says that the holder is at work, if it has not said so in the last second. @throws LockLostError */
  renew(): void;
  unlock(): void;
}

/**
 * Waits for the lock. Where many wait for it, who has waited longest gets it.
 *
 * @param path the file that is the lock; its directory exists
 * @throws QueuectlError BUSY: one holder kept it for a minute; any system error other than "locked" at once
 */
export async function lock(path: string): Promise<HeldLock> {
  lockfile ??= (await import('proper-lockfile')).default; // who only reads starts sooner without it
  const started = monotonicMs();
  let line: WaitingLine | undefined;
  let holder: { readonly owner: number | undefined; readonly since: number } | undefined;
  try {
    for (let tries = 0; ; tries++) {
      const isMyTurn = line === undefined || line.isFirst();
      const held = isMyTurn ? tryLock(lockfile, path) : undefined;
      if (held !== undefined) return held;
      if (tries >= FREE_TRIES) {
        const now = monotonicMs();
        line ??= new WaitingLine(`${path}.next`, Date.now() - (now - started));
        const owner = fs.lstatSync(path, { throwIfNoEntry: false })?.mtimeMs; // it stays the same when the lock is renewed
        if (owner === undefined || owner !== holder?.owner) holder = { owner, since: now };
        if (now - holder.since > GIVE_UP_MS) throw keptBusy(path);
      }
      await waitABit(line !== undefined, isMyTurn);
    }
  } finally {
    line?.leave();
  }
}

const keptBusy = (path: string) =>
  new QueuectlError(
    'BUSY',
    `the store has been locked for ${GIVE_UP_MS / 1000} seconds`,
    `Find out who holds ${path}, then try again.`,
  );

/**
 * Short random waits keep the turns fair: with 0.2 to 1 ms four processes took 3,500 turns a second, evenly, where an
 * exponential wait let one process take thousands of turns and another a single one.
 */
async function waitABit(isInLine: boolean, isMyTurn: boolean): Promise<void> {
  const share = 0.2 + 0.8 * Math.random();
  if (!isInLine)
    pause(share); // timers are no finer than 1 ms
  else await delay(isMyTurn ? 1 : share * LOOK_EVERY_MS);
}

function tryLock(lockfile: Lockfile, path: string): HeldLock | undefined {
  const signedFrom = moment();
  let removed = false;
  let lost = false;
  let isUnlocking = false;
  const ownerMicros = process.pid * 1e6 + Math.floor(Math.random() * 1e6);
  const sign = () => fs.lutimesSync(path, ownerMicros / 1e6, ownerMicros / 1e6);
  /** What proper-lockfile was told last of the lock: with that, it takes it for its own. */
  let told = { mtime: new Date(0) };
  const remove = (file: string) => {
    if (release === undefined)
      removed = true; // still acquiring: this removes a stale lock
    else if (lost || !(isUnlocking || isMine())) return; // somebody else's by now
    removeName(file);
  };
  let release: (() => void) | undefined;
  try {
    release = lockfile.lockSync(path, {
      lockfilePath: path,
      realpath: false,
      stale: STALE_MS,
      fs: {
        mkdirSync: makeName,
        rmdirSync: remove,
        statSync(file: string) {
          if (release === undefined) told = statLock(file);
          return told;
        },
        utimesSync(_file: string, _atime: Date, mtime: Date) {
          if (release === undefined) return sign();
          renewWhenTold(held);
          told = { mtime };
        },
        realpathSync: fs.realpathSync,
      },
      onCompromised: () => {
        lost = true;
      },
    });
  } catch (error) {
    const code = errnoCode(error);
    // ENOENT, EEXIST: the holder released it, or somebody else took it, between two steps of ours
    if (code === 'ELOCKED' || ((code === 'ENOENT' || code === 'EEXIST') && removed)) return undefined;
    throw error;
  }
  const unlockFile = release;
  let mark: string | undefined;
  try {
    mark = markOf(path, ownerMicros);
  } catch (error) {
    isUnlocking = true;
    unlockFile(); // or proper-lockfile would keep it fresh
    throw error;
  }
  let markedAt = signedFrom;
  const isMine = () => {
    lost ||= mark === undefined || markOf(path, ownerMicros) !== mark;
    return !lost;
  };
  const held: HeldLock = {
    isMine,
    renew() {
      if (markedAt.age() < RENEW_MS) return;
      if (!isMine()) throw new LockLostError();
      // Ours as long as nobody takes it; but to sign it now might be to take it back from who has just done so.
      if (markedAt.age() >= STALE_IF_ALIVE_MS) return;
      const now = moment();
      try {
        sign();
      } catch (error) {
        if (errnoCode(error) !== 'ENOENT') throw error;
        throw new LockLostError(); // it was just taken away
      }
      lost = markedAt.age() >= STALE_IF_ALIVE_MS; // somebody may have taken it before it was signed again
      if (lost) throw new LockLostError();
      mark = markOf(path, ownerMicros);
      markedAt = now;
    },
    unlock() {
      try {
        isMine();
      } catch (error) {
        if (!(error instanceof QueuectlError)) throw error;
        lost = true; // whose it is cannot be told, so it is left to grow stale
      }
      isUnlocking = true;
      try {
        unlockFile();
      } catch (error) {
        // proper-lockfile noticed the loss before us (ERELEASED), or lent the lock to another holder in this process
        // (ENOTACQUIRED), or the system refuses: what was done under the lock is done, and the rest of it grows stale
        if (errnoCode(error) === undefined) throw error;
      }
    },
  };
  return held;
}

/** For proper-lockfile's timer. @throws ENOENT: the lock is lost, so that it gives up */
function renewWhenTold(held: HeldLock): void {
  try {
    held.renew();
  } catch (error) {
    if (!(error instanceof LockLostError)) throw error;
    throw Object.assign(new Error(error.message), { code: 'ENOENT' });
  }
}

/** Makes the lock, or fails with EEXIST. */
function makeName(path: string): void {
  const file = `${path}.file`;
  try {
    try {
      fs.linkSync(file, path);
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
      fs.closeSync(openToAppend(file)); // the first lock at this place
      fs.linkSync(file, path);
    }
  } catch (error) {
    if (errnoCode(error) === 'EEXIST') throw error;
    fs.closeSync(fs.openSync(path, 'wx', 0o600)); // where a file has one name only, as on exFAT
  }
}

function removeName(path: string): void {
  try {
    fs.unlinkSync(path);
  } catch (error) {
    throw errnoCode(error) === 'ENOENT' ? error : storageError(error, `remove ${path}`);
  }
}

/** What proper-lockfile is to believe of a lock's age. */
function statLock(file: string): { readonly mtime: Date } {
  const stat = fs.lstatSync(file);
  checkKind(file, stat);
  return { mtime: new Date(isStale(stat) ? 0 : Date.now()) };
}

/** @throws QueuectlError STORAGE: something else is in the place of the lock */
function checkKind(path: string, stat: fs.Stats): void {
  if (stat.isFile()) return;
  const file = `${path}.file`;
  const culprit = fs.lstatSync(file, { throwIfNoEntry: false })?.ino === stat.ino ? file : path; // two names of one thing
  const code = stat.isDirectory() ? 'EISDIR' : stat.isSymbolicLink() ? 'ELOOP' : NOT_REGULAR;
  throw storageError(Object.assign(new Error(culprit), { code, path: culprit }), `lock ${culprit}`);
}

function isStale({ ctimeMs, mtimeMs }: fs.Stats): boolean {
  const ageMs = Date.now() - ctimeMs;
  if (ageMs < -STALE_MS) return true; // made before the clock was set back, it would not grow stale
  return ageMs >= STALE_IF_ALIVE_MS || (ageMs >= STALE_MS && !pidRuns(ownerOf(mtimeMs)));
}

const ownerOf = (mtimeMs: number) => Math.floor(mtimeMs / 1000);

export interface LockState {
  /** Who made it, unless that was only just now. */
  readonly pid: number;
  /** Whether its holder lives and was heard of lately. */
  readonly isHeld: boolean;
  /** Another time tells another lock. */
  readonly ctimeMs: number;
}

/** Looks at a lock from outside. @returns undefined when it is free */
export function inspectLock(path: string): LockState | undefined {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  checkKind(path, stat);
  const pid = ownerOf(stat.mtimeMs);
  return { pid, isHeld: pidRuns(pid) && !isStale(stat), ctimeMs: stat.ctimeMs };
}

/**
 * Tells this lock from one made later at the same place; undefined if it is not signed by this owner.
 *
 * @throws QueuectlError STORAGE
 */
function markOf(path: string, ownerMicros: number): string | undefined {
  const stat = statOf(path);
  const isSigned = stat !== undefined && Math.abs(Number(stat.mtimeNs / 1000n) - ownerMicros) <= 1; // it was a float
  return isSigned ? `${stat.ino}:${stat.ctimeNs}:${stat.mtimeNs}` : undefined;
}

function statOf(path: string): fs.BigIntStats | undefined {
  try {
    return fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    throw storageError(error, `look at ${path}`);
  }
}

/** A moment, and how many milliseconds have passed since by the clock that shows more of them: either can stand still. */
function moment(): { age(): number } {
  const [clock, monotonic] = [Date.now(), monotonicMs()];
  return { age: () => Math.max(Date.now() - clock, monotonicMs() - monotonic) };
}
