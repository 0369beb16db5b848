/**
 * An SQLite file, as one process uses it: made when something is first written, and never followed through a link.
 *
 * Whoever writes takes the write lock first, so that what a transaction has read still holds when it commits. Nobody
 * waits inside SQLite: its own waiting stops the whole process, by more than a second when four compete; here the longest
 * measured was 44 ms. One connection serves one transaction at a time.
 */
import fs from 'node:fs';
import { dirname } from 'node:path';
import { monotonicMs } from '../../../utils/clock.js';
import { delay } from '../../../utils/delay.js';
import { errnoCode, QueuectlError, storageError } from '../../../utils/errors.js';
import { identityOf, makeDirectory } from '../../../utils/files.js';
import { Mutex } from '../../../utils/mutex.js';
import type { Durability, Role } from '../../store.js';
import { checkTrust } from '../trust.js';
import { type Connection, loadDriver, type Row, type Statement, type Value } from './driver.js';
import { type SqlitePaths, trustedParts } from './paths.js';
import { isUnderWay, lookAt, makeDatabase, placeFault, removeOtherName } from './place.js';
import { isBusy, notOurs, sqliteError } from './resultCode.js';
import { type Kind, kindOf, migrate } from './schema.js';

const GIVE_UP_MS = 60_000;
const LONGEST_WAIT_MS = 20;
/** What a checkpoint leaves of the journal file on the disk. */
const WAL_BYTES_MAX = 64_000_000;

/** A connection, and the statements it has prepared. */
export class Session {
  /** How many changes it has committed. */
  changes = 0;
  private uncommitted = 0;
  private readonly statements = new Map<string, Statement>();
  private isSynchronous: boolean | undefined;

  constructor(
    private readonly connection: Connection,
    /** Tells the file from another one of the same name. */
    readonly identity: string,
  ) {}

  exec(sql: string): void {
    this.connection.exec(sql);
  }

  /** @returns how many rows it has changed */
  run(sql: string, ...values: Value[]): number {
    return Number(this.prepared(sql).run(...values).changes);
  }

  get(sql: string, ...values: Value[]): Row | undefined {
    return this.prepared(sql).get(...values);
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.prepared(sql).all(...values);
  }

  /** Says how the transactions from now on are to be kept; inside one it would have no effect. */
  keep(durability: Durability): void {
    const isSynchronous = durability === 'on disk';
    if (isSynchronous === this.isSynchronous) return;
    this.exec(`PRAGMA synchronous = ${isSynchronous ? 'FULL' : 'NORMAL'}`);
    this.isSynchronous = isSynchronous;
  }

  /** Notes changes that count once the transaction is committed. */
  note(changes: number): void {
    this.uncommitted += changes;
  }

  begin(how: 'BEGIN' | 'BEGIN IMMEDIATE'): void {
    this.exec(how);
    this.uncommitted = 0;
  }

  commit(): void {
    this.exec('COMMIT');
    this.changes += this.uncommitted;
  }

  close(): void {
    this.connection.close();
  }

  private prepared(sql: string): Statement {
    let statement = this.statements.get(sql);
    if (statement === undefined) {
      statement = this.connection.prepare(sql);
      this.statements.set(sql, statement);
    }
    return statement;
  }
}

export class Database {
  private readonly turns = new Mutex();
  private session: Session | undefined;
  /** The last one that has written. */
  private tidied: Session | undefined;

  /** A worker, which is on record in the store, must not bring back one that was removed. */
  private readonly mayMake: boolean;
  private readonly isOnlooker: boolean;

  constructor(
    readonly paths: SqlitePaths,
    role: Role,
  ) {
    this.mayMake = role !== 'worker' || !fs.existsSync(paths.database);
    this.isOnlooker = role === 'onlooker';
  }

  wasRemoved(): boolean {
    return !this.mayMake && !fs.existsSync(this.paths.database);
  }

  /**
   * Runs a transaction that may write. All it writes is kept or, when it throws, nothing.
   *
   * @param work may be run again from its beginning
   * @throws QueuectlError BUSY, DAMAGED, STORAGE
   */
  write<T>(work: (session: Session) => T | Promise<T>, durability: Durability): Promise<T> {
    return this.inTurn(async () => {
      const session = this.openedToWrite();
      session.keep(durability);
      const { changes } = session;
      const result = await this.transact(session, 'BEGIN IMMEDIATE', work);
      if (session.changes > changes) tellOfChange(this.paths.database);
      return result;
    });
  }

  /** Shows `work` one moment; undefined when there is no database. @throws as `write` */
  read<T>(work: (session: Session | undefined) => T | Promise<T>): Promise<T> {
    return this.inTurn(async () => {
      const session = this.opened();
      return session === undefined ? work(undefined) : this.transact(session, 'BEGIN', work);
    });
  }

  /** Has `work` look at a moment each, outside any transaction: it sees what others have committed up to that. @throws as `write` */
  look<T>(work: (session: Session | undefined) => T): Promise<T> {
    return this.inTurn(async () => work(this.opened()));
  }

  /** As `look`, but at once, even amid a transaction. @returns undefined when somebody is in the way */
  peek<T>(work: (session: Session | undefined) => T): T | undefined {
    try {
      return work(this.session ?? this.opened());
    } catch (error) {
      if (isBusy(error)) return undefined;
      throw sqliteError(error, this.paths.database);
    }
  }

  /**
   * The last one to do so has SQLite write what is in the journal into the database, and remove that. An onlooker leaves a
   * journal that has something in it, and removes only the empty one that was made for it.
   */
  close(): Promise<void> {
    return this.turns.run(async () => {
      if (!this.isOnlooker || (identityOf(this.paths.wal)?.size ?? 0) === 0) this.drop();
    });
  }

  /** Does something while no other transaction of this process has the connection, again as long as another process is in its way. */
  private inTurn<T>(attempt: () => Promise<T>): Promise<T> {
    return this.turns.run(async () => {
      const started = monotonicMs();
      for (let tries = 0; ; tries++) {
        try {
          return await attempt();
        } catch (error) {
          if (!isBusy(error)) {
            if (sqliteError(error, this.paths.database) !== error) this.drop(); // whatever state it is in
            throw sqliteError(error, this.paths.database);
          }
        }
        if (monotonicMs() - started > GIVE_UP_MS) throw this.busy();
        await delay(Math.min((0.5 + Math.random()) * (1 + tries / 50), LONGEST_WAIT_MS));
      }
    });
  }

  private busy(): QueuectlError {
    const fact = `the store has been locked for ${GIVE_UP_MS / 1000} seconds`;
    return new QueuectlError('BUSY', fact, `Find out who holds ${this.paths.database}, then try again.`);
  }

  /** The session on the file that has the name now; undefined when there is none. */
  private opened(): Session | undefined {
    const { database } = this.paths;
    const identity = this.identify();
    if (identity !== undefined && identity === this.session?.identity) return this.session;
    this.drop();
    if (identity === undefined) return undefined;
    const connection = loadDriver().connect(database);
    try {
      const kind = this.kindOf(connection, identity);
      if (kind === 'foreign') throw notOurs(database, 'the database of another program');
      if (kind === 'newer') throw newer(database);
      if (kind === 'outdated') migrated(connection);
      connection.prepare('PRAGMA journal_mode = WAL').get(); // it is made without, and so may a copy come back
      connection.exec(`PRAGMA journal_size_limit = ${WAL_BYTES_MAX}`);
      this.session = new Session(connection, identity);
      return this.session;
    } catch (error) {
      // To be found out now: with the connection the want of open files would be gone.
      const told = isBusy(error) ? error : sqliteError(error, database);
      connection.close();
      throw told;
    }
  }

  private openedToWrite(): Session {
    const session = this.opened() ?? this.made();
    if (session !== this.tidied) removeOtherName(this.paths);
    this.tidied = session;
    return session;
  }

  private kindOf(connection: Connection, identity: string): Kind {
    connection.exec('BEGIN');
    const kind = kindOf(connection);
    connection.exec('COMMIT');
    if (this.identify() !== identity) throw inTheWay(); // what was opened may be another one
    return kind;
  }

  private made(): Session {
    const { database } = this.paths;
    if (!this.mayMake) throw storageError(gone(), `write ${database}`);
    loadDriver(); // without one nothing is made
    const directory = dirname(database);
    try {
      makeDirectory(directory);
    } catch (error) {
      throw storageError(error, `make ${database}`);
    }
    checkTrust(directory, trustedParts(this.paths)); // somebody else may have made it a moment before
    makeDatabase(this.paths);
    const session = this.opened();
    if (session === undefined) throw storageError(gone(), `write ${database}`); // removed, in this moment
    return session;
  }

  /** Keeps what `work` does, or undoes it. */
  private async transact<T>(
    session: Session,
    begin: 'BEGIN' | 'BEGIN IMMEDIATE',
    work: (session: Session) => T | Promise<T>,
  ): Promise<T> {
    session.begin(begin);
    try {
      if (begin === 'BEGIN') session.get('SELECT seq FROM change'); // the moment that is shown is that of the first look
      // From here on no repair puts another one there until a writer is done; before, one may have.
      if (this.identify() !== session.identity) throw inTheWay();
      const result = await work(session);
      session.commit();
      return result;
    } catch (error) {
      rollBack(session);
      throw error;
    }
  }

  /** @returns what tells the file from another one of the same name; undefined when there is none */
  private identify(): string | undefined {
    const place = lookAt(this.paths);
    if (place.kind === 'nothing') return undefined;
    if (place.kind === 'database') return place.identity;
    if (place.kind === 'repair' && isUnderWay(place.next)) throw inTheWay();
    throw placeFault(place.kind, this.paths);
  }

  private drop(): void {
    this.session?.close();
    this.session = undefined;
  }
}

function rollBack(session: Pick<Connection, 'exec'>): void {
  try {
    session.exec('ROLLBACK');
  } catch (error) {
    // SQLite has done it itself, as when the disk is full: what has been thrown tells why.
    if (!(error instanceof Error) || !error.message.includes('no transaction is active')) throw error;
  }
}

/** Tells those who watch a database that a change has been committed. */
function tellOfChange(path: string): void {
  const now = Date.now() / 1000;
  try {
    fs.utimesSync(path, now, now);
  } catch (error) {
    if (errnoCode(error) === undefined) throw error; // else they see the change after worker_idle_delay
  }
}

/** Brings a database to this version, whoever else is doing so at the same time. */
function migrated(connection: Connection): void {
  connection.prepare('PRAGMA journal_mode = WAL').get();
  connection.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE');
  try {
    if (kindOf(connection) === 'outdated') migrate(connection);
    connection.exec('COMMIT');
  } catch (error) {
    rollBack(connection);
    throw error;
  }
}

const newer = (path: string) =>
  new QueuectlError('DAMAGED', `${path} was written by a newer version`, 'Use the newer queuectl that wrote it.');
const withCode = (code: string) => Object.assign(new Error(code), { code });
/** As SQLite says it: the next try may do. */
const inTheWay = () => withCode('SQLITE_BUSY');
const gone = () => withCode('ENOENT');
