/** Who works on the store: a row each, with its last sign of life by both clocks. */
import { type Clock, monotonicMs } from '../../../utils/clock.js';
import { QueuectlError } from '../../../utils/errors.js';
import { damaged } from '../../../utils/files.js';
import { findWorkerFault, type WorkerRecord } from '../../model/worker.js';
import type { UnreadableRecord, WorkerRecords, WorkerTable } from '../../store.js';
import type { Database } from './database.js';
import type { Row } from './driver.js';

export class WorkerRows implements WorkerTable {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  register({ heard_of: _, ...record }: WorkerRecord): Promise<void> {
    const sql = 'INSERT OR REPLACE INTO workers (id, record, heard_at, heard_monotonic) VALUES (?, ?, ?, ?)';
    return this.database.write((session) => {
      session.run(sql, record.id, JSON.stringify(record), this.clock(), monotonicMs());
    }, 'soon');
  }

  async unregister(id: string): Promise<void> {
    const isThere = await this.database.read((session) => session?.get('SELECT id FROM workers WHERE id = ?', id));
    if (isThere === undefined) return; // what was removed is not made again for this
    await this.database.write((session) => session.run('DELETE FROM workers WHERE id = ?', id), 'soon');
  }

  async heartbeat(id: string): Promise<void> {
    const sql = 'UPDATE workers SET heard_at = ?, heard_monotonic = ? WHERE id = ?';
    await this.database.write((session) => session.run(sql, this.clock(), monotonicMs(), id), 'soon');
  }

  list(): Promise<WorkerRecords> {
    const sql = 'SELECT id, record, heard_at, heard_monotonic FROM workers ORDER BY rowid';
    return this.database.read((session) => {
      const records: WorkerRecord[] = [];
      const unreadable: UnreadableRecord[] = [];
      for (const row of session?.all(sql) ?? []) {
        try {
          records.push(this.parse(row));
        } catch (error) {
          if (!(error instanceof QueuectlError)) throw error;
          unreadable.push({ id: String(row.id), fault: error });
        }
      }
      return { records, unreadable };
    });
  }

  /** @throws QueuectlError DAMAGED */
  private parse({ id, record: text, heard_at, heard_monotonic }: Row): WorkerRecord {
    const wrong = (fault: string) => damaged(this.database.paths.database, `worker ${id}: ${fault}`);
    let record: WorkerRecord;
    try {
      record = JSON.parse(String(text)); // checked next
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw wrong('it is not JSON');
    }
    const fault = findWorkerFault(record) ?? (record.id === id ? undefined : `"id" is ${record.id}`);
    if (fault !== undefined) throw wrong(fault);
    return { ...record, heard_of: { at: Number(heard_at), monotonic: Number(heard_monotonic) } };
  }
}
