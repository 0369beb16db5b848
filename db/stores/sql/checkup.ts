/** Looks at all that an SQLite store consists of, and offers to mend what is wrong. Nothing is changed but by a `repair`. */
import fs from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../../utils/clock.js';
import { QueuectlError, storageError } from '../../../utils/errors.js';
import { makeDirectory, removeFile, syncDirectory } from '../../../utils/files.js';
import { writeTemp } from '../../../utils/tempFiles.js';
import { quote } from '../../../utils/text.js';
import { findJobFault, type Job } from '../../model/job.js';
import { findConfigFault, findConfigKey } from '../../model/settings.js';
import type { Check } from '../../store.js';
import {
  checkFileSystem,
  checkOwnership,
  checkPermissions,
  counted,
  FIX,
  listed,
  looked,
  momentDirectory,
  ok,
  type Part,
  partsIn,
} from '../placeChecks.js';
import type { Database, Session } from './database.js';
import { loadDriver, type Row } from './driver.js';
import type { SqlitePaths } from './paths.js';
import { finishReplacing, isUnderWay, leftoversOf, lookAt, type Place, placeFault, setAside } from './place.js';
import { resultCode } from './resultCode.js';
import { salvage } from './salvage.js';

/** Records are looked at so many at a time, however long the queue is. */
const AT_A_TIME = 1000;
/** A checkpoint and the journal beside it. */
const SPARE_BYTES = 1_000_000;
/** https://www.sqlite.org/wal.html#walresetbug, and the releases of earlier years that have the mending too. */
const WAL_RESET_MENDED = { version: [3, 51, 3], also: ['3.44.6', '3.50.7'] } as const;

/** The checks in their order; each sees what the repairs before it have done. */
export async function* checkDatabase(database: Database, clock: Clock): AsyncGenerator<Check> {
  const { paths } = database;
  const fault = findPlaceFault(paths, clock);
  if (fault !== undefined) {
    yield fault;
    if (findPlaceFault(paths, clock) !== undefined) return;
  }
  if (placeOf(paths)?.kind === 'nothing') {
    yield await looked('database', () => {
      loadDriver(); // which the first job will need
      return ok('database', `${paths.database} is not there yet; the first job makes it`);
    });
    return;
  }
  const directory = dirname(paths.database);
  yield await looked('file system', () => checkRoom(paths));
  yield await looked('ownership', () => checkOwnership(directory, partsOf(paths)));
  yield await looked('permissions', () => checkPermissions(directory, partsOf(paths)));
  const integrity = () => looked('database', () => checkIntegrity(database, clock));
  const whole = await integrity();
  yield whole;
  if (whole.state === 'wrong' && (await integrity()).state === 'wrong') return; // it may have been mended
  yield await looked('temporary files', () => checkLeftovers(paths));
  yield await looked('SQLite', () => checkVersion(database));
  yield await looked('settings', () => checkRows(database, clock, SETTINGS));
  yield await looked('jobs', () => checkRows(database, clock, JOBS));
}

/** @returns undefined when what is there is no database of any kind, which the checks that use it tell */
function placeOf(paths: SqlitePaths): Place | undefined {
  try {
    return lookAt(paths);
  } catch (error) {
    if (error instanceof QueuectlError) return undefined;
    throw error;
  }
}

/** Why there is nothing under the name that could be looked at. */
function findPlaceFault(paths: SqlitePaths, clock: Clock): Check | undefined {
  const place = placeOf(paths);
  if (place === undefined || place.kind === 'nothing' || place.kind === 'database') return undefined;
  const name = 'database';
  if (place.kind === 'repair' && isUnderWay(place.next)) {
    const fact = `${paths.database} is being repaired by process ${place.next.pid}`;
    return { name, state: 'wrong', fact, remedy: 'Wait for its end.' };
  }
  const { fact } = placeFault(place.kind, paths);
  const kept = momentDirectory(`${paths.state}/replaced`, clock());
  const remedy =
    place.kind === 'repair'
      ? `${FIX} ends it: what could be read is in ${place.next.path}.`
      : `Put a copy of it back, or have ${FIX} keep what is left of it, and begin anew.`;
  return { name, state: 'wrong', fact, remedy, repair: async () => mendPlace(paths, kept) };
}

function mendPlace(paths: SqlitePaths, kept: string): string {
  const place = lookAt(paths);
  if (place.kind === 'nothing' || place.kind === 'database') return 'somebody else has done it';
  if (place.kind !== 'repair') {
    setAside(paths, kept);
    return `what was left of it is in ${kept}`;
  }
  finishReplacing(paths, place.next.path);
  return `it is in its place; the former files are in ${paths.state}/replaced`;
}

function checkLeftovers(paths: SqlitePaths): Check {
  const name = 'temporary files';
  const found = leftoversOf(paths);
  if (found.length === 0) return ok(name, 'none is left over');
  return {
    name,
    state: 'wrong',
    fact: `left over by processes that are gone: ${listed(found)}`,
    remedy: `They do no harm; ${FIX} removes them.`,
    repair: async () => {
      for (const path of leftoversOf(paths)) removeFile(path);
      return `removed: ${found.length}`;
    },
  };
}

function checkRoom({ database, wal }: SqlitePaths): Check {
  const bytes = SPARE_BYTES + (fs.statSync(wal, { throwIfNoEntry: false })?.size ?? 0);
  const remedy = 'Choose a file on a local disk with --store: those who have it open share memory, and locks.';
  return checkFileSystem(database, dirname(database), { bytes, words: 'what is in the journal' }, remedy);
}

const partsOf = ({ database, wal, shm, state }: SqlitePaths): Part[] => [
  ...[database, wal, shm].map((path) => ({ path, kind: 'file' as const })),
  { path: state, kind: 'directory' },
  ...partsIn([`${state}/workers`]),
  ...partsIn([`${state}/logs`], 0),
  { path: `${state}/replaced`, kind: 'directory' },
];

async function checkIntegrity(database: Database, clock: Clock): Promise<Check> {
  const name = 'database';
  const { paths } = database;
  const path = paths.database;
  let rows: Row[] | undefined;
  try {
    rows = await database.read((session) => session?.all('PRAGMA quick_check(3)'));
  } catch (error) {
    if (!(error instanceof QueuectlError) || error.cause === undefined) throw error;
    const remedy = 'It cannot be read at all. Put a copy of it back, or move it away to begin anew.';
    return {
      name,
      state: 'wrong',
      fact: error.fact,
      remedy: resultCode(error.cause) === 'CORRUPT' ? remedy : error.remedy,
    };
  }
  if (rows === undefined) return ok(name, `${path} is not there any more`);
  const faults = rows.map((row) => String(Object.values(row)[0])).filter((line) => line !== 'ok');
  if (faults.length === 0) return ok(name, `${path}, whole`);
  return {
    name,
    state: 'wrong',
    fact: `${path} is damaged: ${faults.join('; ').replaceAll('\n', ' ')}`,
    remedy: `${FIX} keeps the jobs that can be read, and a copy of the files.`,
    repair: async () => {
      await database.close();
      const kept = momentDirectory(`${paths.state}/replaced`, clock());
      const jobs = salvage(paths, kept);
      return `${counted(jobs, 'job')} could be read; the former files are in ${kept}`;
    },
  };
}

/**
 * A version with the bug is no fault of the store, and many a user cannot change it: Node brings its own. So it is told, and
 * doctor does not fail for it.
 */
async function checkVersion(database: Database): Promise<Check> {
  const row = await database.read((session) => session?.get('SELECT sqlite_version() AS version'));
  if (row === undefined) return ok('SQLite', loadDriver().name);
  const version = String(row.version);
  const fact = `${version} (${loadDriver().name})`;
  if (isMended(version)) return ok('SQLite', fact);
  const bug = 'which in very rare cases damages a database that several processes write to';
  return ok('SQLite', `${fact}, ${bug}; 3.51.3, as in Node 22.23 or 24.15, does not`);
}

function isMended(version: string): boolean {
  if (WAL_RESET_MENDED.also.some((mended) => mended === version)) return true;
  const numbers = version.split('.').map(Number);
  for (const [place, least] of WAL_RESET_MENDED.version.entries()) {
    const number = numbers[place] ?? 0;
    if (number !== least) return number > least;
  }
  return true;
}

/** A table of records as JSON. */
interface RecordTable {
  readonly name: string;
  readonly table: 'job_records' | 'settings';
  /** The column that tells a row, and the one with the JSON. */
  readonly key: 'id' | 'name';
  readonly text: 'record' | 'value';
  readonly noun: string;
  /** Those that are not told by their name belong to a newer version, and are left alone. */
  isKnown(key: string): boolean;
  findFault(key: string, value: unknown): string | undefined;
}

const JOBS: RecordTable = {
  name: 'jobs',
  table: 'job_records',
  key: 'id',
  text: 'record',
  noun: 'job',
  isKnown: () => true,
  findFault: (id, value) => findJobFault(value) ?? differs(id, value as Job), // it has no fault
};

const SETTINGS: RecordTable = {
  name: 'settings',
  table: 'settings',
  key: 'name',
  text: 'value',
  noun: 'setting',
  isKnown: (name) => findConfigKey(name) !== undefined,
  findFault: (name, value) => {
    const key = findConfigKey(name);
    return key && findConfigFault(key, value);
  },
};

const differs = (key: string, { id }: { readonly id: string }) => (id === key ? undefined : `"id" is ${quote(id)}`);

/** Looks at every row. */
async function checkRows(database: Database, clock: Clock, table: RecordTable): Promise<Check> {
  const { name, key, text, noun } = table;
  const sql = `SELECT ${key}, ${text} FROM ${table.table} WHERE ${key} > ? ORDER BY ${key} LIMIT ${AT_A_TIME}`;
  const wrong: Row[] = [];
  const faults: string[] = [];
  const unknown: string[] = [];
  let seen = 0;
  let last = '';
  for (;;) {
    const rows = await database.read((session) => session?.all(sql, last) ?? []);
    for (const row of rows) {
      last = String(row[key]);
      const fault = faultOf(table, last, String(row[text]));
      if (fault === undefined) {
        if (!table.isKnown(last)) unknown.push(quote(last));
        continue;
      }
      faults.push(`${quote(last)} ${fault}`);
      wrong.push(row);
    }
    seen += rows.length;
    if (rows.length < AT_A_TIME) break;
  }
  if (wrong.length === 0 && unknown.length > 0) {
    const fact = `unknown ${noun}s have no effect: ${unknown.join(', ')}`;
    const remedy = '`queuectl config-get` lists the known ones; use the newer queuectl that set the others.';
    return { name, state: 'wrong', fact, remedy };
  }
  if (wrong.length === 0)
    return ok(name, seen === 0 ? `no ${noun} is kept` : `${counted(seen, noun)}, each as it should be`);
  return {
    name,
    state: 'wrong',
    fact: listed(faults),
    remedy: `${FIX} removes what is wrong, and keeps a copy of it.`,
    repair: () => removeRows(database, clock, table, wrong),
  };
}

function faultOf({ findFault }: RecordTable, key: string, text: string): string | undefined {
  try {
    return findFault(key, JSON.parse(text));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return 'is not JSON';
  }
}

/** Removes the rows that are still as they were found, once a copy of them is on disk. @returns what was done */
async function removeRows(database: Database, clock: Clock, { table, key, text }: RecordTable, rows: readonly Row[]) {
  const directory = momentDirectory(`${database.paths.state}/replaced`, clock());
  const copy = `${directory}/${table}.ndjson`;
  try {
    makeDirectory(directory);
    const lines = rows.map((row) => `${JSON.stringify({ [key]: row[key], [text]: row[text] })}\n`);
    fs.renameSync(writeTemp(copy, Buffer.from(lines.join(''))).path, copy);
    syncDirectory(directory);
  } catch (error) {
    throw storageError(error, `write ${copy}`);
  }
  const sql = `DELETE FROM ${table} WHERE ${key} = ? AND ${text} = ?`;
  const remove = (session: Session) =>
    rows.reduce((sum, row) => sum + session.run(sql, String(row[key]), String(row[text])), 0);
  return `removed: ${await database.write(remove, 'on disk')}; a copy is in ${copy}`;
}
