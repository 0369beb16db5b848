/**
 * The files that a process was started with, open in the shell that it was typed into: a lock (`exec 9>lock; flock 9`), the end
 * of a pipe. What it starts would inherit them in turn, and hold the lock or the pipe for as long as that lives.
 *
 * Node.js marks those below 16 to be closed by exec, and has no call to mark or close others safely: the number of one that is
 * closed is given to the next file that is opened, also where something in this process (a profiler) still writes to it. So a
 * child gets `/dev/null` under these numbers before it begins, and closes that. Elsewhere than on Linux libuv lets a child
 * inherit only what it is given.
 */
import fs from 'node:fs';
import { errnoCode } from './errors.js';
import { softLimit } from './limits.js';

const OPEN_FILES = '/proc/self/fd';
/** As fdinfo has it, on every architecture that Node.js runs on. */
const O_CLOEXEC = 0o2000000;

type Stdio = readonly ('ignore' | 'inherit' | 'ipc' | number)[];

/**
 * Starts a child that inherits only 0, 1, 2 and what it is given.
 *
 * @param stdio as for `spawn`, from 0 on
 * @param start starts it, with what is to be its stdio
 * @returns what `start` has returned
 */
export function withoutInherited<T>(stdio: Stdio, start: (stdio: Stdio[number][]) => T): T {
  const end = softLimit('Max open files') ?? 0; // one may be open whose number is not allowed any more
  const inherited = findInheritable().filter((fd) => fd >= stdio.length && fd < end);
  if (inherited.length === 0) return start([...stdio]);
  const nothing = fs.openSync('/dev/null', 'r+');
  try {
    const all = Array.from({ length: Math.max(...inherited) + 1 }, (_, fd): Stdio[number] =>
      inherited.includes(fd) ? nothing : (stdio[fd] ?? 'ignore'),
    );
    return start(all);
  } finally {
    fs.closeSync(nothing);
  }
}

/** Closes what this process was given in place of such files. */
export function closeStandIns(): void {
  for (const fd of findInheritable()) if (nameOf(fd) === '/dev/null') fs.closeSync(fd);
}

/** The files beyond 2 that a child would inherit; none where that cannot be told. */
function findInheritable(): number[] {
  if (process.platform !== 'linux') return [];
  try {
    return fs
      .readdirSync(OPEN_FILES)
      .map(Number)
      .filter((fd) => fd > 2 && isInheritable(fd));
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return []; // no file is left to look with, or /proc is not there
  }
}

function isInheritable(fd: number): boolean {
  try {
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')) ?? [];
    return flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    return false; // it was that of the directory
  }
}

function nameOf(fd: number): string | undefined {
  try {
    return fs.readlinkSync(`${OPEN_FILES}/${fd}`);
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return undefined;
  }
}
