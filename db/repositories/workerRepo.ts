/** Who works on the store: one small file a process, and one a slot of a worker with the group that runs in it. */
import fs from 'node:fs';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { damaged, makeDirectory, parseJsonFile, readWhole, removeFile } from '../../utils/files.js';
import { type ProcessGroup, readGroupNote } from '../../utils/groupNote.js';
import { isElsewhere, pidExists } from '../../utils/processIdentity.js';
import type { WorkerRecord } from '../schema.js';
import type { UnreadableRecord, WorkerRepo } from '../store.js';

const RECORD_FILE = /^(.+)\.json$/;

export class FileWorkerRepo implements WorkerRepo {
  constructor(private readonly directory: string) {}

  async register(record: WorkerRecord): Promise<void> {
    const { writeTemp } = await import('../../utils/tempFiles.js'); // only workers register
    try {
      makeDirectory(this.directory);
      const path = `${this.directory}/${record.id}.json`;
      fs.renameSync(writeTemp(path, Buffer.from(`${JSON.stringify(record)}\n`)).path, path);
    } catch (error) {
      throw storageError(error, `write to ${this.directory}`);
    }
  }

  async unregister(workerId: string): Promise<void> {
    for (const note of this.groupNotes(workerId)) removeFile(note);
    removeFile(`${this.directory}/${workerId}.json`);
  }

  async heartbeat(id: string): Promise<void> {
    const now = Date.now() / 1000;
    try {
      fs.utimesSync(`${this.directory}/${id}.json`, now, now);
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw storageError(error, `write to ${this.directory}`);
    }
  }

  async listRecords(): Promise<WorkerRecord[]> {
    return this.read().records;
  }

  async listUnreadable(): Promise<UnreadableRecord[]> {
    return this.read().unreadable;
  }

  private read(): { records: WorkerRecord[]; unreadable: UnreadableRecord[] } {
    const records: WorkerRecord[] = [];
    const unreadable: UnreadableRecord[] = [];
    for (const name of this.names()) {
      const [, id] = RECORD_FILE.exec(name) ?? [];
      if (id === undefined) continue;
      const path = `${this.directory}/${name}`;
      try {
        const file = readWhole(path);
        if (file === null) continue; // it has just left
        const record = parseJsonFile(path, file.content);
        if (!isRecord(record) || record.id !== id) throw damaged(path, 'it is no worker record');
        const heard_of_at = Number(file.identity.mtime_ns) / 1e6;
        records.push(isElsewhere(record) ? { ...record, heard_of_at } : record);
      } catch (error) {
        if (!(error instanceof QueuectlError)) throw error;
        unreadable.push({ id, path, mayLive: pidExists(Number.parseInt(id, 10)), fault: error });
      }
    }
    return { records, unreadable };
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
    const isNote = (name: string) => name.startsWith(`${workerId}.`) && /^\d+$/.test(name.slice(workerId.length + 1));
    return this.names()
      .filter(isNote)
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
