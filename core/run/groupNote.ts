/**
 * The note that tells which process group runs a command, for the case that who runs it dies.
 *
 * A note is a file that is written again and again, always over the same bytes: that needs no space once it is there, no
 * crash leaves half of it, and a file system has no file to make. The process that leads the group writes it, as forkServer.pl
 * and spawnLauncher.ts say.
 */
import fs from 'node:fs';
import { errnoCode, NOT_REGULAR } from '../../utils/errors.js';
import { openRegular, readRegular } from '../../utils/files.js';

export interface ProcessGroup {
  readonly pgid: number;
  /** When its leader started, as the operating system tells it, or up to five seconds before; empty if unknown. */
  readonly startTime: string;
}

/** The pid, a space, the start time, spaces, a newline. */
const NOTE_BYTES = 48;
/** Five seconds in the unit in which Linux tells start times. */
const LATER_TICKS = 500;
const NO_GROUP = Buffer.from(`${' '.repeat(NOTE_BYTES - 1)}\n`);

/**
 * Opens a note for the process that will write it, over what is blank then. A link, a FIFO or the like in its place loses its
 * name first.
 *
 * @throws the system's error
 */
export function openGroupNote(path: string): number {
  const fd = makeToOverwrite(path);
  try {
    overwrite(fd, path);
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/**
 * Notes that the group has ended. Does nothing where that fails, as when there is no note: a note too many does harm only
 * if who wrote it dies while the pid is the leader's of another group that started in the same five seconds.
 */
export function clearGroupNote(path: string): void {
  try {
    const fd = openToOverwrite(path, 0);
    try {
      overwrite(fd, path);
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
  }
}

/** @returns undefined when it notes no group, or is not there */
export function readGroupNote(path: string): ProcessGroup | undefined {
  const note = readRegular(path)?.toString('latin1') ?? '';
  const [, pgid, startTime = ''] = /^(\d+) (.*?) *\n$/.exec(note) ?? [];
  return pgid === undefined ? undefined : { pgid: Number(pgid), startTime };
}

/** @param startTime of a process that has the pid of the group's leader, as the operating system tells it */
export function isLeader(group: ProcessGroup, startTime: string): boolean {
  const laterBy = Number(startTime) - Number(group.startTime);
  return group.startTime === '' || group.startTime === startTime || (laterBy >= 0 && laterBy <= LATER_TICKS);
}

function makeToOverwrite(path: string): number {
  try {
    return openToOverwrite(path, fs.constants.O_CREAT);
  } catch (error) {
    const code = errnoCode(error);
    if (code !== NOT_REGULAR && code !== 'ELOOP') throw error;
    fs.unlinkSync(path);
    return openToOverwrite(path, fs.constants.O_CREAT);
  }
}

const openToOverwrite = (path: string, flags: number) =>
  openRegular(path, fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW | flags);

/** At its beginning, and leaves the place where a program would write next. */
function overwrite(fd: number, path: string): void {
  const written = fs.writeSync(fd, NO_GROUP, 0, NO_GROUP.length, 0);
  if (written < NO_GROUP.length)
    throw Object.assign(new Error(`a short write to ${path}`), { code: 'ENOSPC', errno: -28 });
}
