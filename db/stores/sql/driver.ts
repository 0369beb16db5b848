/** SQLite itself: what is in Node where that has it for everybody, else the package better-sqlite3. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoCode, QueuectlError } from '../../../utils/errors.js';
import { quoteWord } from '../../../utils/shell.js';

export type Value = string | number | null;
export type Row = Readonly<Record<string, unknown>>;

/** What both drivers have in common, and all that is used of them. */
export interface Statement {
  /** For what returns no rows. */
  run(...values: Value[]): { readonly changes: number | bigint };
  get(...values: Value[]): Row | undefined;
  all(...values: Value[]): Row[];
}

export interface Connection {
  exec(sql: string): unknown;
  prepare(sql: string): Statement;
  close(): unknown;
}

export interface Driver {
  /** As it stands in a message: `node:sqlite`, `better-sqlite3`. */
  readonly name: string;
  /** Opens a file, which SQLite makes if it is not there. Waiting for a lock is left to the caller. */
  connect(path: string): Connection;
}

const PACKAGE = 'better-sqlite3';
/** Version 13 ends Node 20 with a segmentation fault when it is loaded. */
const MAJOR = '12';
const INSTALL = `npm install ${PACKAGE}@${MAJOR}`;

let driver: Driver | undefined;

/** @throws QueuectlError STORAGE: there is none */
export function loadDriver(): Driver {
  driver ??= builtInDriver() ?? packagedDriver();
  return driver;
}

/** Its types are not in the oldest Node whose types the project is checked against. */
interface NodeSqlite {
  readonly DatabaseSync: new (path: string) => Connection;
}

/** @returns undefined before Node 22.13, which has it behind a flag or not at all */
function builtInDriver(): Driver | undefined {
  const found = withoutItsWarning(() => process.getBuiltinModule('node:sqlite') as NodeSqlite | undefined);
  return found && { name: 'node:sqlite', connect: (path) => new found.DatabaseSync(path) };
}

/** Node 22 says on stderr, when it loads the module, that it is experimental. */
function withoutItsWarning<T>(load: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = (...args: unknown[]) => {
    const isIts = args[1] === 'ExperimentalWarning' && String(args[0]).startsWith('SQLite');
    if (!isIts) Reflect.apply(emitWarning, process, args);
  };
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}

type BetterSqlite = new (path: string, options: { readonly timeout: number }) => Connection;

function packagedDriver(): Driver {
  const found = findPackage();
  if (found === undefined) throw new QueuectlError('STORAGE', needed(), `Install it: ${installCommand()}.`);
  const { directory, version } = found;
  if (version.split('.')[0] !== MAJOR) {
    const fact = `${needed()} ${MAJOR}; ${directory} is version ${version}`;
    throw new QueuectlError('STORAGE', fact, `Install the other: ${installCommand()}.`);
  }
  let Database: BetterSqlite;
  try {
    Database = createRequire(import.meta.url)(directory) as BetterSqlite; // what version 12 exports
    new Database(':memory:', { timeout: 0 }).close(); // only this loads what was compiled
  } catch (error) {
    const fact = `${directory} cannot be loaded by Node ${process.versions.node}`;
    const remedy = `Build it anew: (cd ${dirname(dirname(directory))} && npm rebuild ${PACKAGE}).`;
    throw new QueuectlError('STORAGE', fact, remedy, { cause: error });
  }
  return { name: PACKAGE, connect: (path) => new Database(path, { timeout: 0 }) };
}

const needed = () => `SQLite needs Node 22.13 or later, or the package ${PACKAGE}`;

/** Where this program is installed for all directories, so must the package be; for a clone, it must be in there. */
function installCommand(): string {
  const program = fileURLToPath(import.meta.url);
  const [, root] = /^(.*?)[\\/]node_modules[\\/]/.exec(program) ?? [];
  if (root === undefined) {
    const clone = ancestorWith('package.json', dirname(program));
    return `(cd ${quoteWord(clone)} && ${INSTALL.replace('install', 'install --no-save')})`;
  }
  return existsSync(join(root, 'package.json')) ? INSTALL : INSTALL.replace('install', 'install --global');
}

function ancestorWith(file: string, directory: string): string {
  const parent = dirname(directory);
  return parent === directory || existsSync(join(directory, file)) ? directory : ancestorWith(file, parent);
}

/**
 * Looks for it from this program, as `require` would look: in the clone, the project or the place of global packages where
 * queuectl is. Not from the current directory: what lies there is somebody else's, and would be run.
 */
function findPackage(): { readonly directory: string; readonly version: string } | undefined {
  const from = createRequire(import.meta.url);
  try {
    const manifest = from.resolve(`${PACKAGE}/package.json`);
    const { version } = from(manifest) as { version: string }; // as every package has
    return { directory: dirname(manifest), version };
  } catch (error) {
    if (errnoCode(error) !== 'MODULE_NOT_FOUND') throw error;
    return undefined;
  }
}
