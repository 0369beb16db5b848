/**
 * The store in an SQLite file.
 *
 * Promise: a transaction happens whole or not at all, what one costs does not grow with the queue, and any SQLite client can
 * look at the queue at any time.
 */
import { type Clock, systemClock } from '../../../utils/clock.js';
import type { Check, Durability, Reader, Store, StoreOptions, Transaction } from '../../store.js';
import { Database } from './database.js';
import { subscribeTo } from './news.js';
import { sqlitePaths } from './paths.js';
import { nothing, RecordReader, SqliteTransaction } from './records.js';
import { SettingsRows } from './settingsRows.js';
import { WorkerRows } from './workerRows.js';

export class SqliteStore implements Store {
  readonly settings: SettingsRows;
  readonly workers: WorkerRows;
  readonly clock: Clock;
  private readonly database: Database;

  /** @param path absolute; it is made when something is written to it for the first time */
  constructor(
    private readonly path: string,
    options: StoreOptions,
  ) {
    this.clock = options.clock ?? systemClock;
    this.database = new Database(sqlitePaths(path), options.role);
    this.settings = new SettingsRows(this.database);
    this.workers = new WorkerRows(this.database, this.clock);
  }

  transaction<T>(work: (transaction: Transaction) => Promise<T>, durability: Durability): Promise<T> {
    return this.database.write((session) => work(new SqliteTransaction(session, this.path, this.clock())), durability);
  }

  read<T>(work: (reader: Reader) => Promise<T>): Promise<T> {
    return this.database.read((session) =>
      work(session === undefined ? nothing : new RecordReader(session, this.path)),
    );
  }

  subscribe(onNews: () => void): () => void {
    return subscribeTo(this.database, onNews);
  }

  async *check(): AsyncGenerator<Check> {
    const { checkDatabase } = await import('./checkup.js');
    yield* checkDatabase(this.database, this.clock);
  }

  /** The last one to close it has SQLite write into the database what the journal has, and remove that. */
  close(): Promise<void> {
    return this.database.close();
  }
}
