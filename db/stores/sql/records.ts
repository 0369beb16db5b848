/** Jobs in SQL: what is read, what is written, and which index serves it. */
import { damaged } from '../../../utils/files.js';
import { quote } from '../../../utils/text.js';
import { findJobFault, JOB_STATES, type Job, type JobState, type WaitingJob } from '../../model/job.js';
import type { JobQuery, Reader, Stored, Table, Tables, Transaction, Write } from '../../store.js';
import type { Session } from './database.js';
import type { Row } from './driver.js';

const WAITING = `state IN ('pending', 'failed')`;
const IN_TURN = 'ORDER BY priority DESC, created_at, place LIMIT ?';
const NO_LIMIT = -1;

/** By itself the planner takes other indexes: a claim from 100,000 jobs then takes 25 times as long. */
export const SQL = {
  get: 'SELECT seq, record FROM job_records WHERE id = ?',
  count: 'SELECT state, count(*) AS jobs FROM job_records INDEXED BY jobs_by_state GROUP BY state',
  /** Jobs that wait are due or not, which is kept: so who is next need not be looked for among those who are not due. */
  promote: `UPDATE job_records INDEXED BY jobs_by_time SET due = 1 WHERE ${WAITING} AND due = 0 AND run_at <= ?`,
  /** The clock was set back. */
  demote: `UPDATE job_records INDEXED BY jobs_by_time SET due = 0 WHERE ${WAITING} AND due = 1 AND run_at > ?`,
  next: `SELECT seq, record FROM job_records INDEXED BY jobs_in_turn WHERE due = 1 ${IN_TURN}`,
  wouldBeNext: `SELECT seq, record FROM job_records INDEXED BY jobs_by_time
    WHERE ${WAITING} AND due IN (0, 1) AND run_at <= ? ${IN_TURN}`,
  nextRunAt: `SELECT min(run_at) AS run_at FROM job_records INDEXED BY jobs_by_time WHERE ${WAITING} AND due = ?`,
  numbers: 'UPDATE change SET seq = seq + ? RETURNING seq',
  add: 'INSERT INTO job_records (place, id, seq, due, record) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
  replace: 'UPDATE job_records SET place = ?, seq = ?, due = ?, record = ? WHERE id = ? AND seq = ?',
  replaceInPlace: 'UPDATE job_records SET seq = ?, due = ?, record = ? WHERE id = ? AND seq = ?',
  remove: 'DELETE FROM job_records WHERE id = ? AND seq = ?',
} as const;

/**
 * Which jobs, by their place: to sort whole records would have all of them in memory. Those of one state are in their order
 * already, and only merged with those of others, so that the first few are found at once.
 */
export function listSql({ states = JOB_STATES, order = 'created' }: JobQuery): string {
  const by = order === 'created' ? 'created_at, place' : 'seq';
  const source = `FROM job_records ${order === 'created' ? 'INDEXED BY jobs_by_state ' : ''}WHERE state = ?`;
  const places = states.map(() => `SELECT ${by}${order === 'created' ? '' : ', place'} ${source}`).join(' UNION ALL ');
  return `SELECT seq, record FROM job_records
    WHERE place IN (SELECT place FROM (${places} ORDER BY ${by} LIMIT ?)) ORDER BY ${by}`;
}

/** There is no database yet. */
export const nothing: Reader = {
  get: async () => undefined,
  jobs: async () => [],
  count: async () => new Map(),
  runnable: async () => [],
  nextRunAt: async () => undefined,
};

export class RecordReader implements Reader {
  /** @param path the database, as it stands in an error */
  constructor(
    protected readonly session: Session,
    private readonly path: string,
  ) {}

  async get<T extends Table>(_table: T, id: string): Promise<Stored<Tables[T]> | undefined> {
    const row = this.session.get(SQL.get, id);
    return row && this.parse(row);
  }

  async jobs(query: JobQuery): Promise<Stored<Job>[]> {
    const { states = JOB_STATES, limit = NO_LIMIT } = query;
    if (states.length === 0) return [];
    return this.session.all(listSql(query), ...states, limit).map((row) => this.parse(row));
  }

  async count(): Promise<ReadonlyMap<JobState, number>> {
    const rows = this.session.all(SQL.count);
    return new Map(rows.map(({ state, jobs }) => [state as JobState, Number(jobs)])); // as records have been checked
  }

  async runnable({ now, limit }: { now: number; limit: number }): Promise<Stored<WaitingJob>[]> {
    return this.waiting(this.session.all(SQL.wouldBeNext, now, limit));
  }

  async nextRunAt(): Promise<number | undefined> {
    const times = [0, 1].map((due) => this.session.get(SQL.nextRunAt, due)?.run_at);
    const found = times.filter((time) => typeof time === 'number');
    return found.length === 0 ? undefined : Math.min(...found);
  }

  protected waiting(rows: readonly Row[]): Stored<WaitingJob>[] {
    return rows.map((row) => this.parse(row) as Stored<WaitingJob>); // both queries name the states
  }

  private parse({ seq, record }: Row): Stored<Job> {
    return { seq: Number(seq), record: parseJob(record, this.path) };
  }
}

/** @throws QueuectlError DAMAGED */
function parseJob(text: unknown, path: string): Job {
  const job = JSON.parse(String(text)); // SQLite could not have indexed it else
  const fault = findJobFault(job);
  if (fault !== undefined) throw damaged(path, `job ${quote(job?.id)}: ${fault}`);
  return job;
}

export class SqliteTransaction extends RecordReader implements Transaction {
  /** @param now a job that is due by then can be claimed without being looked for */
  constructor(
    session: Session,
    path: string,
    private readonly now: number,
  ) {
    super(session, path);
  }

  override async runnable({ now, limit }: { now: number; limit: number }): Promise<Stored<WaitingJob>[]> {
    this.session.run(SQL.promote, now);
    this.session.run(SQL.demote, now);
    return this.waiting(this.session.all(SQL.next, limit));
  }

  async write<T extends Table>(_table: T, writes: readonly Write<Tables[T]>[]): Promise<readonly string[]> {
    if (writes.length === 0) return [];
    if (writes.length === 1) {
      this.session.note(1);
      return this.writeAll(writes); // it happens whole by itself
    }
    this.session.exec('SAVEPOINT write');
    const stale = this.writeAll(writes);
    if (stale.length > 0) this.session.exec('ROLLBACK TO write');
    else this.session.note(writes.length);
    this.session.exec('RELEASE write');
    return stale;
  }

  private writeAll(writes: readonly Write<Job>[]): string[] {
    const last = Number(this.session.get(SQL.numbers, writes.length)?.seq);
    const written = new Set<string>();
    const stale: string[] = [];
    for (const [index, write] of writes.entries()) {
      const { id } = write;
      const isDone = !written.has(id) && this.writeOne(write, last - writes.length + 1 + index);
      if (!isDone) stale.push(id);
      if (writes.length > 1) written.add(id);
    }
    return stale;
  }

  /** @returns false when the record is not as it was */
  private writeOne({ id, before, after }: Write<Job>, seq: number): boolean {
    const { session } = this;
    if (after === null) return before === null ? !this.isThere(id) : session.run(SQL.remove, id, before.seq) > 0;
    const isDue = (after.state === 'pending' || after.state === 'failed') && after.run_at <= this.now ? 1 : 0;
    const record = JSON.stringify(after);
    if (before === null) return session.run(SQL.add, seq, id, seq, isDue, record) > 0;
    const isRevived = before.record.state === 'dead' && after.state !== 'dead'; // stands as if it had been added just now
    return isRevived
      ? session.run(SQL.replace, seq, seq, isDue, record, id, before.seq) > 0
      : session.run(SQL.replaceInPlace, seq, isDue, record, id, before.seq) > 0;
  }

  private isThere(id: string): boolean {
    return this.session.get(SQL.get, id) !== undefined;
  }
}
