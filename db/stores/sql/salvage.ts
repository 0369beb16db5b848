/**
 * Makes a new database out of what can be read of a damaged one, and puts it in its place. What was there is kept.
 *
 * Whoever else has the database open finds another file there at the next transaction, and goes on with that; until then
 * the write lock keeps them from committing what would be left behind.
 */
import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import { QueuectlError, storageError } from '../../../utils/errors.js';
import { makeDirectory, removeFile, syncDirectory } from '../../../utils/files.js';
import { randomHex } from '../../../utils/random.js';
import { type Connection, loadDriver, type Row, type Value } from './driver.js';
import type { SqlitePaths } from './paths.js';
import { resultCode, sqliteError } from './resultCode.js';
import { migrate } from './schema.js';

const AT_A_TIME = 100;

interface Copied {
  readonly table: string;
  /** The first is its key. */
  readonly columns: readonly string[];
}

const JOBS: Copied = { table: 'job_records', columns: ['place', 'id', 'seq', 'due', 'record'] };
const OTHERS: readonly Copied[] = [
  { table: 'settings', columns: ['name', 'value'] },
  { table: 'workers', columns: ['id', 'record', 'heard_at', 'heard_monotonic'] },
];

/**
 * @param kept where the damaged files go
 * @returns how many jobs could be read
 * @throws QueuectlError STORAGE, BUSY
 */
export function salvage(paths: SqlitePaths, kept: string): number {
  const temp = `${paths.database}.${process.pid}-${randomHex(16)}.tmp`;
  try {
    const damaged = loadDriver().connect(paths.database);
    try {
      begin(damaged);
      fs.closeSync(fs.openSync(temp, 'wx', 0o600));
      const jobs = copyTo(temp, damaged);
      replace(paths, temp, kept);
      return jobs;
    } finally {
      damaged.close();
    }
  } catch (error) {
    throw sqliteError(error, paths.database);
  } finally {
    removeFile(temp);
  }
}

function begin(connection: Connection): void {
  try {
    connection.exec('BEGIN IMMEDIATE');
  } catch (error) {
    if (resultCode(error) !== 'BUSY') throw error;
    throw new QueuectlError('BUSY', 'somebody is writing to the store', 'Stop the workers and try again.');
  }
}

function copyTo(path: string, from: Connection): number {
  const to = loadDriver().connect(path);
  try {
    to.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE');
    migrate(to);
    const jobs = copy(JOBS, from, to);
    for (const table of OTHERS) copy(table, from, to);
    to.exec('UPDATE change SET seq = (SELECT coalesce(max(seq), 0) FROM job_records); COMMIT');
    return jobs;
  } finally {
    to.close();
  }
}

/** @returns how many rows were copied */
function copy({ table, columns }: Copied, from: Connection, to: Connection): number {
  const places = columns.map(() => '?').join(', ');
  const insert = to.prepare(`INSERT OR IGNORE INTO ${table} (${columns.join(', ')}) VALUES (${places})`);
  let copied = 0;
  for (const towards of ['ASC', 'DESC'] as const) {
    for (const row of readable({ table, columns }, from, towards)) {
      const values = columns.map((column) => row[column] as Value); // what SQLite gives, it takes
      try {
        copied += Number(insert.run(...values).changes);
      } catch (error) {
        if (resultCode(error) !== 'other') throw error; // no JSON: it cannot be a record
      }
    }
  }
  return copied;
}

/** The rows from one end to the first that cannot be read. */
function* readable({ table, columns }: Copied, from: Connection, towards: 'ASC' | 'DESC'): Generator<Row> {
  const [key] = columns;
  const beyond = towards === 'ASC' ? '>' : '<';
  const select = `SELECT ${columns.join(', ')} FROM ${table}`;
  let limit = AT_A_TIME;
  let last: Value | undefined;
  for (;;) {
    const where = last === undefined ? '' : `WHERE ${key} ${beyond} ?`;
    const sql = `${select} ${where} ORDER BY ${key} ${towards} LIMIT ${limit}`;
    let rows: Row[];
    try {
      rows = from.prepare(sql).all(...(last === undefined ? [] : [last]));
    } catch (error) {
      if (resultCode(error) !== 'CORRUPT') throw error;
      if (limit === 1) return;
      limit = 1; // those before the one that is damaged
      continue;
    }
    yield* rows;
    if (rows.length < limit) return;
    last = rows.at(-1)?.[key ?? ''] as Value; // what SQLite gives, it takes
  }
}

/** The journal goes first: beside another database it would be read as that one's. */
function replace({ database, wal, shm }: SqlitePaths, temp: string, kept: string): void {
  try {
    makeDirectory(kept);
    fs.linkSync(database, `${kept}/${basename(database)}`);
    for (const path of [wal, shm]) {
      if (fs.existsSync(path)) fs.renameSync(path, `${kept}/${basename(path)}`);
    }
    fs.renameSync(temp, database);
    for (const directory of [kept, dirname(database)]) syncDirectory(directory);
  } catch (error) {
    throw storageError(error, `move ${database} to ${kept}`);
  }
}
