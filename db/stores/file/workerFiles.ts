/** Who works on the store: one small file a process. */
import fs from 'node:fs';
import { monotonicMs } from '../../../utils/clock.js';
import { errnoCode, refusalOf, storageError } from '../../../utils/errors.js';
import {
  asTempFile,
  damaged,
  makeDirectory,
  namesIn,
  parseJsonFile,
  readWhole,
  removeFile,
  type TempFile,
} from '../../../utils/files.js';
import { pidRuns } from '../../../utils/processIdentity.js';
import { findWorkerFault, type WorkerRecord } from '../../model/worker.js';
import type { UnreadableRecord, WorkerRecords, WorkerTable } from '../../store.js';

/** Of one who cannot be seen: to write a record takes a moment, and nobody is to wait for the dead for longer than five seconds. */
const LEFT_MS = 3000;
const RECORD_FILE = /^(.+)\.json$/;

export class WorkerFiles implements WorkerTable {
  constructor(private readonly directory: string) {}

  async register({ heard_of: _, ...record }: WorkerRecord): Promise<void> {
    const { writeTemp } = await import('../../../utils/tempFiles.js'); // only workers register
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

  async unregister(id: string): Promise<void> {
    removeFile(this.recordFile(id));
  }

  async heartbeat(id: string): Promise<void> {
    try {
      touch(this.recordFile(id));
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw storageError(error, `write to ${this.directory}`);
    }
  }

  async list(): Promise<WorkerRecords> {
    const records: WorkerRecord[] = [];
    const unreadable: UnreadableRecord[] = [];
    for (const name of namesIn(this.directory)) {
      const [, id] = RECORD_FILE.exec(name) ?? [];
      if (id === undefined) {
        this.removeIfLeft(asTempFile(this.directory, name));
        continue;
      }
      const path = this.recordFile(id);
      try {
        const record = readRecord(path, id);
        if (record !== null) records.push(record);
      } catch (error) {
        unreadable.push({ id, fault: refusalOf(error), path });
      }
    }
    return { records, unreadable };
  }

  /** What a process that was killed while it registered has left. It does no harm, so one that cannot be removed stays. */
  private removeIfLeft(temp: TempFile | undefined): void {
    if (temp === undefined || pidRuns(temp.pid)) return;
    try {
      const stat = fs.lstatSync(temp.path, { throwIfNoEntry: false });
      if (stat !== undefined && Math.abs(Date.now() - stat.ctimeMs) >= LEFT_MS) fs.unlinkSync(temp.path);
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
    }
  }

  private recordFile(id: string): string {
    return `${this.directory}/${id}.json`;
  }
}

/** Takes a sign of life down: its monotonic time as the file's modification time, and so *now* as its change time. */
function touch(path: string): void {
  const seconds = monotonicMs() / 1000;
  fs.utimesSync(path, seconds, seconds);
}

/** @returns null when it has just left */
function readRecord(path: string, id: string): WorkerRecord | null {
  const file = readWhole(path);
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  if (file === null || stat === undefined) return null;
  const record = parseJsonFile(path, file.content);
  if (findWorkerFault(record) !== undefined) throw damaged(path, 'it is no worker record');
  const known = record as WorkerRecord; // findWorkerFault has checked it
  if (known.id !== id) throw damaged(path, 'it is no worker record');
  return { ...known, heard_of: { at: stat.ctimeMs, monotonic: stat.mtimeMs } };
}
