/** Where the store is. */
import { existsSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { StoreAddress } from '../../db/index.js';
import { errnoCode, QueuectlError } from '../../utils/errors.js';
import { quoteWord } from '../../utils/shell.js';
import { quote } from '../../utils/text.js';

/** Where the store of a command line is, and how another one names it. */
export interface Place {
  readonly address: StoreAddress;
  /** The words that a command line needs to mean the same store. */
  readonly flags: readonly string[];
  /** Whether somebody has said that it is to be there. */
  readonly isNamed: boolean;
}

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** The file this program was started from. */
  readonly programFile: string;
  /** What the system has as the user's home. */
  readonly userHome?: () => string;
}

/**
 * The store: `--store` or `--data-dir`, else `$QUEUECTL_STORE`, else `$QUEUECTL_DATA_DIR`, else `db/data` in a clone, else
 * `$XDG_STATE_HOME/queuectl`, else `~/.local/state/queuectl`. An empty variable counts as unset.
 *
 * @throws QueuectlError USAGE: no address, one of a store that this version does not have, or two of them
 */
export function findPlace(
  { store, dataDir }: { readonly store?: string | undefined; readonly dataDir?: string | undefined },
  surroundings: Surroundings,
): Place {
  const { env } = surroundings;
  if (store !== undefined && dataDir !== undefined) {
    throw new QueuectlError('USAGE', '--store and --data-dir exclude each other', 'Give one of them.');
  }
  if (store !== undefined) {
    const address = readAddress('--store', '--store ', store, surroundings);
    return { address, flags: ['--store', store], isNamed: true };
  }
  if (dataDir !== undefined) {
    const address = readDirectory('--data-dir', '--store ', dataDir);
    return { address, flags: ['--data-dir', dataDir], isNamed: true };
  }
  if (env.QUEUECTL_STORE) {
    const address = readAddress('$QUEUECTL_STORE', 'QUEUECTL_STORE=', env.QUEUECTL_STORE, surroundings);
    return { address, flags: [], isNamed: true };
  }
  if (env.QUEUECTL_DATA_DIR) {
    const address = readDirectory('$QUEUECTL_DATA_DIR', 'QUEUECTL_STORE=', env.QUEUECTL_DATA_DIR);
    return { address, flags: [], isNamed: true };
  }
  return { address: { kind: 'file', dir: defaultDirectory(surroundings) }, flags: [], isNamed: false };
}

/** The directory or the file that the store is. */
export const pathOf = ({ address }: Place): string => (address.kind === 'file' ? address.dir : address.path);

/** Stores that other versions may have. */
const OTHER_STORES: Readonly<Record<string, string>> = {
  postgres: 'PostgreSQL',
  postgresql: 'PostgreSQL',
  mongodb: 'MongoDB',
  'mongodb+srv': 'MongoDB',
};

const ADDRESS = /^([a-z][a-z0-9+.-]*):(.*)$/is;

/** @param asStore how the same place is given an address */
function readDirectory(source: string, asStore: string, text: string): StoreAddress {
  const scheme = ADDRESS.exec(text)?.[1]?.toLowerCase() ?? '';
  const isOurs = scheme === 'file' || scheme === 'sqlite';
  if (!isOurs && OTHER_STORES[scheme] === undefined) return { kind: 'file', dir: absolute(text) };
  const remedy = isOurs
    ? `Give ${asStore}${quoteWord(text)}.`
    : `Give a directory, or ${asStore}sqlite:/path/queue.db.`;
  throw new QueuectlError('USAGE', `${source} is a directory, and this is an address (${scheme}:)`, remedy);
}

/**
 * @param source where it stands; the address itself may hold a password, and is not repeated
 * @param asStore what comes before another one in its place
 */
function readAddress(source: string, asStore: string, text: string, surroundings: Surroundings): StoreAddress {
  const unknown = (fact: string) =>
    new QueuectlError('USAGE', `${source}: ${fact}`, 'Give file:/path, or sqlite:/path/queue.db.');
  const [, scheme, rest = ''] = ADDRESS.exec(text) ?? [];
  if (scheme === undefined) {
    const dir = absolute(text);
    const isDirectory = existsSync(dir) ? statSync(dir).isDirectory() : undefined;
    if (isDirectory === undefined ? !/\.(db|sqlite3?)$/i.test(dir) : isDirectory) return { kind: 'file', dir };
    const remedy = `Give ${asStore}${quoteWord(`sqlite:${text}`)}.`;
    throw new QueuectlError('USAGE', `${source}: a path alone is that of a directory, and this is a file's`, remedy);
  }
  const kind = scheme.toLowerCase();
  if (kind !== 'file' && kind !== 'sqlite') {
    const other = OTHER_STORES[kind];
    throw unknown(
      other === undefined ? `unknown kind of store ${quote(scheme)}` : `this version has no ${other} store`,
    );
  }
  const path = rest.replace(/^\/\/(?=\/)/, ''); // file:///path is a URL
  if (path.startsWith('//')) throw unknown('a store in a file is on no other host');
  if (kind === 'sqlite') {
    if (path === ':memory:') throw unknown('a store in memory would be gone with the command');
    return { kind, path: path === '' ? join(defaultDirectory(surroundings), 'queue.db') : absolute(path) };
  }
  if (path === '') throw unknown('it names no directory');
  return { kind, dir: absolute(path) };
}

/** An address or a directory in a file of variables: a relative path in it begins where the file is. */
export function fromFile(text: string, dir: string): string {
  const [, scheme, rest] = ADDRESS.exec(text) ?? [];
  if (scheme === undefined) return resolve(dir, text);
  const isPath = /^(file|sqlite)$/i.test(scheme) && rest !== undefined && rest !== '' && rest !== ':memory:';
  return isPath && !rest.startsWith('/') ? `${scheme}:${resolve(dir, rest)}` : text;
}

function defaultDirectory({ env, programFile, userHome = () => userInfo().homedir }: Surroundings): string {
  const clone = findClone(programFile);
  if (clone !== undefined) return join(clone, 'db', 'data');
  const xdg = env.XDG_STATE_HOME;
  // The XDG base directory specification: a relative path is invalid and to be ignored.
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'queuectl');
  return join(homeDirectory(env.HOME, userHome), '.local', 'state', 'queuectl');
}

function homeDirectory(home: string | undefined, userHome: () => string): string {
  if (home !== undefined && isAbsolute(home)) return home;
  try {
    const known = userHome();
    if (isAbsolute(known)) return known;
  } catch (error) {
    if (errnoCode(error) !== 'ERR_SYSTEM_ERROR') throw error; // else the user is not in the system's list
  }
  throw new QueuectlError(
    'USAGE',
    'the queue is kept in the home directory, and there is none: $HOME names no directory, nor does the system',
    'Name a directory with --data-dir or $QUEUECTL_DATA_DIR.',
  );
}

/** The clone that a program file lies in, or undefined: a published package has no tsconfig.json. */
export function findClone(programFile: string): string | undefined {
  const dir = dirname(programFile);
  const root = basename(dir) === 'dist' ? dirname(dir) : dirname(dirname(dir));
  const isProgram = [join(root, 'dist'), join(root, 'cli', 'bin')].includes(dir);
  return isProgram && existsSync(join(root, 'tsconfig.json')) ? root : undefined;
}

const absolute = (path: string) => (isAbsolute(path) ? resolve(path) : resolve(currentDirectory(), path));

/** @throws QueuectlError STORAGE: it has been deleted */
export function currentDirectory(): string {
  try {
    return process.cwd();
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    throw new QueuectlError('STORAGE', 'the current directory has been deleted', 'Go to another one.');
  }
}
