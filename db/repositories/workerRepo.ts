/** Who works on the store: one small file a process, and one a slot of a worker with the group that runs in it. */
import fs from 'node:fs';
import { type ProcessGroup, readGroupNote } from '../../core/run/groupNote.js';
import { monotonicMs } from '../../utils/clock.js';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { damaged, makeDirectory, parseJsonFile, readWhole, removeFile } from '../../utils/files.js';
import { isElsewhere, pidRuns } from '../../utils/processIdentity.js';
import type { WorkerRecord } from '../model/worker.js';
import type { Survey, UnreadableRecord, WorkerRepo } from '../store.js';

const RECORD_FILE = /^(.+)\.json$/;
const GROUP_NOTE = /^([^.]+)\.\d+$/; // no temporary file, which has more dots

export class FileWorkerRepo implements WorkerRepo {
  constructor(private readonly directory: string) {}

  async register(record: WorkerRecord): Promise<void> {
    const { writeTemp } = await import('../../utils/tempFiles.js'); // only workers register
    try {
      makeDirectory(this.directory);
      const path = this.recordFile(record.id);
      const temp = writeTemp(path, Buffer.from(`${JSON.stringify(record)}\n`)).path;
      touch(temp);
      fs.renameSync(temp, path);
    } catch (error) {
      throw storageError(error, `write to ${this.directory}`);
    }
  }

  async unregister(workerId: string): Promise<void> {
    for (const note of this.groupNotes(workerId)) removeFile(note);
    await this.condemn(workerId);
  }

  async condemn(workerId: string): Promise<void> {
    removeFile(this.recordFile(workerId));
  }

  recordFile(workerId: string): string {
    return `${this.directory}/${workerId}.json`;
  }

  async heartbeat(id: string): Promise<void> {
    try {
      touch(this.recordFile(id));
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw storageError(error, `write to ${this.directory}`);
    }
  }

  async listRecords(): Promise<WorkerRecord[]> {
    return (await this.survey()).records;
  }

  async survey(): Promise<Survey> {
    const records: WorkerRecord[] = [];
    const unreadable: UnreadableRecord[] = [];
    const noted = new Set<string>();
    const names = this.names(); // a record is there before the first note, and goes after the last
    for (const name of names) {
      const [, noteOf] = GROUP_NOTE.exec(name) ?? [];
      if (noteOf !== undefined) noted.add(noteOf);
      const [, id] = RECORD_FILE.exec(name) ?? [];
      if (id === undefined) continue;
      const path = `${this.directory}/${name}`;
      try {
        const record = readRecord(path, id);
        if (record !== null) records.push(record);
      } catch (error) {
        if (!(error instanceof QueuectlError)) throw error;
        unreadable.push({ id, path, mayLive: pidRuns(Number.parseInt(id, 10)), fault: error });
      }
    }
    return { records, unreadable, unrecorded: [...noted].filter((id) => !names.includes(`${id}.json`)) };
  }

  groupNote(workerId: string, slot: number): string {
    return `${this.directory}/${workerId}.${slot}`;
  }

  async listGroups(workerId: string): Promise<ProcessGroup[]> {
    return this.groupNotes(workerId)
      .map(readGroupNote)
      .filter((group) => group !== undefined);
  }

  private groupNotes(workerId: string): string[] {
    return this.names()
      .filter((name) => GROUP_NOTE.exec(name)?.[1] === workerId)
      .map((name) => `${this.directory}/${name}`);
  }

  private names(): string[] {
    try {
      return fs.readdirSync(this.directory);
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return [];
      throw storageError(error, `read ${this.directory}`);
    }
  }
}

/** The time of the last sign of life is the file's, by a clock that stands still while the machine sleeps. */
function touch(path: string): void {
  const seconds = monotonicMs() / 1000;
  fs.utimesSync(path, seconds, seconds);
}

/** @returns null when it has just left */
function readRecord(path: string, id: string): WorkerRecord | null {
  const file = readWhole(path);
  if (file === null) return null;
  const record = parseJsonFile(path, file.content);
  if (!isRecord(record) || record.id !== id) throw damaged(path, 'it is no worker record');
  const heard_of_at = Number(file.identity.mtime_ns) / 1e6;
  return isElsewhere(record) ? { ...record, heard_of_at } : record;
}

function isRecord(value: unknown): value is WorkerRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { id, role, pid, start_time, boot_id, pid_namespace, started_at, supervisor_id } =
    value as Partial<WorkerRecord>; // checked here
  return (
    typeof id === 'string' &&
    (role === 'worker' || role === 'supervisor') &&
    Number.isInteger(pid) &&
    typeof start_time === 'string' &&
    typeof boot_id === 'string' &&
    (pid_namespace === undefined || typeof pid_namespace === 'string') &&
    typeof started_at === 'number' &&
    (supervisor_id === null || typeof supervisor_id === 'string')
  );
}
