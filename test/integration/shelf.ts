/** How the tests look at a store without asking the program, and name it to the program. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreAddress } from '../../db/index.js';
import { type DeadEntry, deadEntryOf, deadJobOf } from '../../db/model/deadEntry.js';
import type { Job } from '../../db/model/job.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import { loadDriver, type Row, type Value } from '../../db/stores/sql/driver.js';

export interface Shelf {
  readonly address: StoreAddress;
  /** Where the queue is, and its settings, as it stands in messages. */
  readonly place: string;
  readonly placeOfSettings: string;
  /** Where the outputs of jobs and the notes of workers are; of a store in files, all of it. */
  readonly dataDir: string;
  /** What names the store to the program. */
  readonly env: Readonly<Record<string, string>>;
  /** The jobs that are not dead, the oldest first. */
  queue(): Job[];
  /** The dead ones, in the order they were buried. */
  dead(): DeadEntry[];
  /** The settings; undefined when none was ever set. */
  config(): unknown;
  workers(): WorkerRecord[];
  /** The time since the boot of a process's last sign of life, in milliseconds. */
  heard(id: string): number;
  /** A number that is another one after every commit that changes a job. */
  lastChange(): number;
  /** Whether nothing is left to be written. To be asked before anything else: who looks at SQLite last, writes. */
  isAtRest(): boolean;
  /** Finds no damage in it. */
  assertWhole(): void;

  // What people do by hand, or time does.
  removeJobs(): void;
  /** Where there is no other dead job. */
  putDead(entry: DeadEntry): void;
  putJob(job: Job): void;
  putSetting(name: string, value: unknown): void;
  putWorker(record: WorkerRecord): void;
  /** One that cannot be read. @returns how errors about it begin */
  putUnreadableWorker(id: string): string;
  removeWorker(id: string): void;
  /** Damages the job that was added last, so that a repair cannot keep it. */
  spoilLastJob(): void;
  putHeard(id: string, monotonicMs: number): void;
}

const namesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

export class FileShelf implements Shelf {
  readonly address: StoreAddress;
  readonly place: string;
  readonly placeOfSettings: string;
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;

  /** @param directory the one that is made for the store */
  constructor(directory: string) {
    this.address = { kind: 'file', dir: directory };
    this.place = directory;
    this.placeOfSettings = join(directory, 'config.json');
    this.dataDir = directory;
    this.env = { QUEUECTL_DATA_DIR: directory };
  }

  queue(): Job[] {
    return this.parse('queue.json') ?? [];
  }

  dead(): DeadEntry[] {
    return this.parse('dlq.json') ?? [];
  }

  config(): unknown {
    return this.parse('config.json');
  }

  workers(): WorkerRecord[] {
    return namesIn(join(this.dataDir, 'workers'))
      .filter((name) => name.endsWith('.json'))
      .flatMap((name) => this.parse<WorkerRecord>(`workers/${name}`) ?? []);
  }

  heard(id: string): number {
    return statSync(this.workerFile(id)).mtimeMs;
  }

  lastChange(): number {
    const { first, commits } = this.journal();
    return first + commits.length;
  }

  removeJobs(): void {
    for (const name of ['queue.json', 'dlq.json']) rmSync(join(this.dataDir, name));
  }

  putJob(job: Job): void {
    const jobs = this.queue().map((found) => (found.id === job.id ? job : found));
    writeFileSync(join(this.dataDir, 'queue.json'), JSON.stringify(jobs));
  }

  putDead(entry: DeadEntry): void {
    writeFileSync(join(this.dataDir, 'dlq.json'), `[\n${JSON.stringify(entry)}\n]\n`);
  }

  putSetting(name: string, value: unknown): void {
    writeFileSync(this.placeOfSettings, JSON.stringify({ ...this.parse('config.json'), [name]: value }));
  }

  putWorker(record: WorkerRecord): void {
    writeFileSync(this.workerFile(record.id), JSON.stringify(record));
  }

  putUnreadableWorker(id: string): string {
    writeFileSync(this.workerFile(id), '{', { mode: 0o600 });
    return `${this.workerFile(id)} is damaged: it is not JSON`;
  }

  removeWorker(id: string): void {
    rmSync(this.workerFile(id));
  }

  spoilLastJob(): void {
    const path = join(this.dataDir, 'queue.json');
    writeFileSync(path, readFileSync(path, 'utf8').slice(0, -20));
  }

  putHeard(id: string, monotonicMs: number): void {
    utimesSync(this.workerFile(id), monotonicMs / 1000, monotonicMs / 1000);
  }

  private workerFile(id: string): string {
    return join(this.dataDir, 'workers', `${id}.json`);
  }

  /** The numbers in the journal: those of its commits, and the first one that its header allows. */
  journal(): { first: number; commits: number[] } {
    const text = readFileSync(join(this.dataDir, 'journal.ndjson'), 'utf8');
    const [header, ...commits] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    return { first: header.first, commits: commits.map(({ seq }) => seq) };
  }

  isAtRest(): boolean {
    return !existsSync(join(this.dataDir, 'journal.ndjson')) || this.journal().commits.length === 0;
  }

  assertWhole(): void {
    this.queue();
    this.dead();
  }

  private parse<T extends object>(file: string): T | undefined {
    const path = join(this.dataDir, file);
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  }
}

export class SqliteShelf implements Shelf {
  readonly address: StoreAddress;
  readonly place: string;
  readonly placeOfSettings: string;
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;
  private readonly path: string;

  /** @param directory the one that is made for the store */
  constructor(directory: string) {
    this.path = join(directory, 'queue.db');
    this.address = { kind: 'sqlite', path: this.path };
    this.place = this.path;
    this.placeOfSettings = `${this.path} (settings)`;
    this.dataDir = `${this.path}-state`;
    this.env = { QUEUECTL_STORE: `sqlite:${this.path}` };
  }

  queue(): Job[] {
    return this.jobs(`state <> 'dead' ORDER BY created_at, place`);
  }

  dead(): DeadEntry[] {
    return this.jobs(`state = 'dead' ORDER BY seq`).flatMap((job) => (job.state === 'dead' ? [deadEntryOf(job)] : []));
  }

  config(): unknown {
    const rows = this.rows('SELECT name, value FROM settings');
    if (rows.length === 0) return undefined;
    return Object.fromEntries(rows.map(({ name, value }) => [name, JSON.parse(String(value))]));
  }

  heard(id: string): number {
    const [row] = this.rows('SELECT heard_monotonic FROM workers WHERE id = ?', id);
    return Number(row?.heard_monotonic);
  }

  lastChange(): number {
    return Number(this.rows('SELECT seq FROM change')[0]?.seq);
  }

  removeJobs(): void {
    this.rows('DELETE FROM job_records RETURNING id');
  }

  putJob(job: Job): void {
    this.rows('UPDATE job_records SET record = ? WHERE id = ? RETURNING id', JSON.stringify(job), job.id);
  }

  putDead(entry: DeadEntry): void {
    const record = JSON.stringify(deadJobOf(entry));
    const sql = 'INSERT INTO job_records (place, id, seq, due, record) VALUES (0, ?, 0, 0, ?) RETURNING id';
    this.rows(sql, entry.id, record);
  }

  putSetting(name: string, value: unknown): void {
    this.rows('INSERT OR REPLACE INTO settings VALUES (?, ?) RETURNING name', name, JSON.stringify(value));
  }

  putWorker(record: WorkerRecord): void {
    this.rows('UPDATE workers SET record = ? WHERE id = ? RETURNING id', JSON.stringify(record), record.id);
  }

  putUnreadableWorker(id: string): string {
    this.rows(`INSERT INTO workers VALUES (?, '{', 0, 0) RETURNING id`, id);
    return `${this.path} is damaged: worker ${id}: it is not JSON`;
  }

  removeWorker(id: string): void {
    this.rows('DELETE FROM workers WHERE id = ? RETURNING id', id);
  }

  spoilLastJob(): void {
    const last = '(SELECT max(place) FROM job_records)';
    this.rows(`UPDATE job_records SET record = json_remove(record, '$.command') WHERE place = ${last} RETURNING id`);
  }

  putHeard(id: string, monotonicMs: number): void {
    this.rows('UPDATE workers SET heard_monotonic = ? WHERE id = ? RETURNING id', monotonicMs, id);
  }

  workers(): WorkerRecord[] {
    return this.rows('SELECT record FROM workers ORDER BY rowid').map(({ record }) => JSON.parse(String(record)));
  }

  isAtRest(): boolean {
    return !existsSync(`${this.path}-wal`) && !existsSync(`${this.path}-shm`);
  }

  assertWhole(): void {
    assert.deepEqual(this.rows('PRAGMA quick_check').flatMap(Object.values), existsSync(this.path) ? ['ok'] : []);
  }

  private jobs(where: string): Job[] {
    return this.rows(`SELECT record FROM job_records WHERE ${where}`).map(({ record }) => JSON.parse(String(record)));
  }

  /** Again, as long as the program is in the way. */
  private rows(sql: string, ...values: Value[]): Row[] {
    if (!existsSync(this.path)) return [];
    const connection = loadDriver().connect(this.path);
    try {
      connection.exec('PRAGMA busy_timeout = 10000');
      const isThere = connection.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() !== undefined;
      return isThere ? connection.prepare(sql).all(...values) : [];
    } finally {
      connection.close();
    }
  }
}
