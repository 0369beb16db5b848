/**
 * Makes a new database out of what can be read of a damaged one, and puts it in its place. What was there is kept.
 *
 * Whoever else has the database open finds another file there at the next transaction, and goes on with that; until then
 * the write lock keeps them from committing what would be left behind.
 */
import { QueuectlError } from '../../../utils/errors.js';
import { removeFile } from '../../../utils/files.js';
import { type Connection, loadDriver, type Row, type Value } from './driver.js';
import type { SqlitePaths } from './paths.js';
import { lookAt, replaceDatabase, tempName, writeDatabase } from './place.js';
import { resultCode, sqliteError } from './resultCode.js';

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
  const temp = tempName(paths.database);
  try {
    const before = identityOf(paths);
    const damaged = loadDriver().connect(paths.database);
    try {
      begin(damaged);
      if (identityOf(paths) !== before) throw inUse(); // another repair has been faster
      const jobs = writeDatabase(temp, (next) => copyTo(next, damaged));
      replaceDatabase(paths, temp, kept);
      return jobs;
    } finally {
      damaged.close();
    }
  } catch (error) {
    if (lookAt(paths).kind !== 'repair') removeFile(temp); // else it is what the name leads to
    throw sqliteError(error, paths.database);
  }
}

/** @throws QueuectlError BUSY: there is no database to be repaired any more */
function identityOf(paths: SqlitePaths): string {
  const place = lookAt(paths);
  if (place.kind !== 'database') throw inUse();
  return place.identity;
}

function begin(connection: Connection): void {
  try {
    connection.exec('BEGIN IMMEDIATE');
  } catch (error) {
    throw resultCode(error) === 'BUSY' ? inUse() : error;
  }
}

const inUse = () => new QueuectlError('BUSY', 'somebody is writing to the store', 'Stop the workers and try again.');

/** @returns how many jobs were copied */
function copyTo(to: Connection, from: Connection): number {
  const jobs = copy(JOBS, from, to);
  for (const table of OTHERS) copy(table, from, to);
  to.exec('UPDATE change SET seq = (SELECT coalesce(max(seq), 0) FROM job_records)');
  return jobs;
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
