/** How the tests look at a store without asking the program, and name it to the program. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DeadEntry, deadEntryOf } from '../../db/model/deadEntry.js';
import type { Job } from '../../db/model/job.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import { loadDriver, type Row } from '../../db/stores/sql/driver.js';

export interface Shelf {
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
  /** Nobody works here, so nothing is to be left to be written. */
  assertAtRest(): void;
}

const namesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

export class FileShelf implements Shelf {
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;

  constructor(root: string) {
    this.dataDir = join(root, 'data');
    this.env = { QUEUECTL_DATA_DIR: this.dataDir };
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

  /** The numbers in the journal: those of its commits, and the first one that its header allows. */
  journal(): { first: number; commits: number[] } {
    const text = readFileSync(join(this.dataDir, 'journal.ndjson'), 'utf8');
    const [header, ...commits] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    return { first: header.first, commits: commits.map(({ seq }) => seq) };
  }

  assertAtRest(): void {
    if (existsSync(join(this.dataDir, 'journal.ndjson'))) assert.deepEqual(this.journal().commits, []);
  }

  private parse<T>(file: string): T | undefined {
    const path = join(this.dataDir, file);
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  }
}

export class SqliteShelf implements Shelf {
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;
  private readonly path: string;

  constructor(root: string) {
    this.path = join(root, 'data', 'queue.db');
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

  workers(): WorkerRecord[] {
    return this.rows('SELECT record FROM workers ORDER BY rowid').map(({ record }) => JSON.parse(String(record)));
  }

  assertAtRest(): void {
    assert.deepEqual(this.rows('PRAGMA quick_check').flatMap(Object.values), existsSync(this.path) ? ['ok'] : []);
    assert.ok(!existsSync(`${this.path}-wal`), 'the journal of the database is left');
  }

  private jobs(where: string): Job[] {
    return this.rows(`SELECT record FROM job_records WHERE ${where}`).map(({ record }) => JSON.parse(String(record)));
  }

  /** Again, as long as the program is in the way. */
  private rows(sql: string): Row[] {
    if (!existsSync(this.path)) return [];
    const connection = loadDriver().connect(this.path);
    try {
      connection.exec('PRAGMA busy_timeout = 10000');
      const isThere = connection.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() !== undefined;
      return isThere ? connection.prepare(sql).all() : [];
    } finally {
      connection.close();
    }
  }
}
