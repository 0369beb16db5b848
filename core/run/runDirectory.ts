/**
 * What this machine knows of the workers that run on it, in a directory of its own: their guards, the process groups of their
 * commands, their log. For a store in files that is its data directory.
 *
 * A command notes its group, sees that the guard of its worker is there, and begins. Who takes the worker for dead removes
 * the guard, and then looks for the groups. One of the two sees the other, so no command begins behind anybody's back.
 *
 * A worker is on record before it enters and until it has been forgotten: who is known here and not on record has died.
 *
 * Containers may share the directory, and a group's number means another group to each. So the guard says where its worker
 * runs, and is not deleted but renamed while notes are left.
 */
import fs from 'node:fs';
import { basename, join } from 'node:path';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import {
  makeDirectory,
  namesIn,
  openRegular,
  openToAppend,
  readRegular,
  readTail,
  removeFile,
  removeTempFiles,
} from '../../utils/files.js';
import { here, type Place } from '../../utils/processIdentity.js';
import { type ProcessGroup, readGroupNote } from './groupNote.js';

/** `<worker>.guard`, the same `.condemned`, or `<worker>.<slot>` with a group; no temporary file, which has more dots. */
const TRACE = /^([^.]+)\.(?:guard|condemned|\d+)$/;
const WORKERS_LOG_BYTES = 1_000_000;
const GROUP_NOTE = /\.\d+$/;

export class RunDirectory {
  /** Where the outputs of commands are. */
  readonly logs: string;
  /** Where workers and supervisors in the background write what they have to say. */
  readonly workersLog: string;
  /** What repairs have put away. */
  readonly replaced: string;
  private readonly directory: string;

  /** @param path absolute; it is made when something is written to it */
  constructor(readonly path: string) {
    this.logs = `${path}/logs`;
    this.replaced = `${path}/replaced`;
    this.directory = `${path}/workers`;
    this.workersLog = `${this.directory}/workers.log`;
  }

  /** Lets a worker, which is on record, start commands. @throws QueuectlError STORAGE */
  enter(workerId: string): void {
    const guard = this.guard(workerId);
    try {
      makeDirectory(this.directory);
      const { boot_id, host, pid_namespace } = here;
      const fd = openToAppend(guard);
      try {
        fs.writeSync(fd, `${[boot_id, host, pid_namespace].join(' ')}\n`);
      } finally {
        fs.closeSync(fd);
      }
    } catch (error) {
      throw storageError(error, `write ${guard}`);
    }
  }

  /** @throws QueuectlError STORAGE: it cannot be told */
  hasEntered(workerId: string): boolean {
    const guard = this.guard(workerId);
    try {
      return fs.statSync(guard, { throwIfNoEntry: false }) !== undefined;
    } catch (error) {
      throw storageError(error, `look at ${guard}`);
    }
  }

  /** Sees to it that no command of a worker begins any more; what is noted of those that run stays. */
  condemn(workerId: string): void {
    const guard = this.guard(workerId);
    try {
      fs.renameSync(guard, this.condemned(workerId));
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw storageError(error, `rename ${guard}`);
    }
  }

  /** Removes all that is known of a worker, whose commands have ended. */
  forget(workerId: string): void {
    for (const note of this.groupNotes(workerId)) removeFile(note);
    for (const file of [this.guard(workerId), this.condemned(workerId)]) removeFile(file);
  }

  /** Where a worker runs, or ran; undefined when it has not said so, as those of earlier versions. */
  placeOf(workerId: string): Place | undefined {
    const said = readRegular(this.guard(workerId)) ?? readRegular(this.condemned(workerId));
    const [, boot_id, host, pid_namespace] = /^(\S+) (\S+) (\S*)\n$/.exec(said?.toString() ?? '') ?? [];
    if (boot_id === undefined || host === undefined) return undefined;
    return { boot_id, host, ...(pid_namespace ? { pid_namespace } : {}) };
  }

  /** The file without which no command of a worker begins. */
  guard(workerId: string): string {
    return `${this.directory}/${workerId}.guard`;
  }

  /** Where the process group is noted of the command that runs in a worker's slot. */
  groupNote(workerId: string, slot: number): string {
    return `${this.directory}/${workerId}.${slot}`;
  }

  /** The groups of the commands that a worker was running when it was heard of last. */
  listGroups(workerId: string): ProcessGroup[] {
    return this.groupNotes(workerId)
      .map(readGroupNote)
      .filter((group) => group !== undefined);
  }

  /** The workers that have a guard, condemned or not, or a note here. */
  workers(): string[] {
    return [...new Set(this.names().flatMap((name) => TRACE.exec(name)?.[1] ?? []))];
  }

  /**
   * Keeps the log of the workers from growing for ever: what a long one ends with becomes `workers.log.1`, in the place of the
   * one before, and it begins anew. Who has it open goes on; a line that comes just then may be lost. What cannot be done now is
   * done later.
   */
  async trimWorkersLog(): Promise<void> {
    const { workersLog } = this;
    const former = `${workersLog}.1`;
    try {
      if ((fs.statSync(workersLog, { throwIfNoEntry: false })?.size ?? 0) < WORKERS_LOG_BYTES) return;
      const { writeTemp } = await import('../../utils/tempFiles.js'); // few need it
      const fd = openRegular(workersLog, fs.constants.O_RDWR | fs.constants.O_NOFOLLOW);
      try {
        const tail = readTail(fd, WORKERS_LOG_BYTES);
        if (tail.length < WORKERS_LOG_BYTES) return; // somebody else has just done it
        fs.renameSync(writeTemp(former, tail).path, former);
        fs.ftruncateSync(fd);
      } finally {
        fs.closeSync(fd);
        removeTempFiles([former]);
      }
    } catch (error) {
      if (!(error instanceof QueuectlError) && errnoCode(error) === undefined) throw error;
    }
  }

  /** Opens the log of the workers. @throws QueuectlError STORAGE */
  openWorkersLog(): number {
    try {
      makeDirectory(this.directory);
      return openToAppend(this.workersLog);
    } catch (error) {
      throw storageError(error, `write ${this.workersLog}`);
    }
  }

  /**
   * Moves files to where a repair at this moment keeps what it replaces.
   *
   * @param folder a folder of them there; absent means none
   * @returns the directory they are in
   * @throws QueuectlError STORAGE
   */
  putAway(files: readonly string[], now: number, folder = ''): string {
    const directory = join(this.replaced, new Date(now).toISOString().replaceAll(':', ''), folder);
    try {
      makeDirectory(directory);
      for (const file of files) fs.renameSync(file, join(directory, basename(file)));
    } catch (error) {
      throw storageError(error, `move files to ${directory}`);
    }
    return directory;
  }

  /** Whether repairs have put anything away but what is in folders of this name. */
  hasPutAwayBut(folder: string): boolean {
    return namesIn(this.replaced).some((moment) =>
      namesIn(`${this.replaced}/${moment}`).some((name) => name !== folder),
    );
  }

  private condemned(workerId: string): string {
    return `${this.directory}/${workerId}.condemned`;
  }

  private groupNotes(workerId: string): string[] {
    return this.names()
      .filter((name) => TRACE.exec(name)?.[1] === workerId && GROUP_NOTE.test(name))
      .map((name) => `${this.directory}/${name}`);
  }

  private names(): string[] {
    return namesIn(this.directory);
  }
}
