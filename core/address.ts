/** The address of a store as text, whether it was typed, stands in a variable or comes from a program. */
import { existsSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { StoreAddress } from '../db/index.js';
import { errnoCode, QueuectlError } from '../utils/errors.js';
import { mayBeLossy, quote } from '../utils/text.js';

/** Where the text of an address stands. */
export interface Origin {
  readonly code: 'USAGE' | 'INVALID';
  /** As in `--store`. The address itself may hold a password, and is not repeated. */
  readonly name: string;
  /** How the address of a store is given there, or beside it. */
  readonly give: (address: string) => string;
}

/** What decides where a queue is that is not named. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** The file this program was started from. */
  readonly programFile: string;
  /** What the system has as the user's home. */
  readonly userHome?: () => string;
}

/** Stores that other versions may have. */
const OTHER_STORES: Readonly<Record<string, string>> = {
  postgres: 'PostgreSQL',
  postgresql: 'PostgreSQL',
  mongodb: 'MongoDB',
  'mongodb+srv': 'MongoDB',
};

/** What it was cannot be told any more, once such bytes have become that character. */
const NOT_UTF8 = 'the path is not UTF-8, or has the character U+FFFD, which stands for such bytes';

const ADDRESS = /^([a-z][a-z0-9+.-]*):(.*)$/is;

/** @throws QueuectlError of the origin's code: it is no address, or one of a store that this version does not have */
export function readAddress(text: string, origin: Origin, surroundings: Surroundings): StoreAddress {
  const { code, name, give } = origin;
  const unknown = (fact: string) =>
    new QueuectlError(code, `${name}: ${fact}`, 'Give file:/path, or sqlite:/path/queue.db.');
  if (text.includes('\0')) throw unknown('a path has no NUL character');
  if (mayBeLossy(text)) throw unknown(NOT_UTF8);
  const [, scheme, rest = ''] = ADDRESS.exec(text) ?? [];
  if (scheme === undefined) {
    const dir = absolute(text);
    const isDirectory = existsSync(dir) ? statSync(dir).isDirectory() : undefined;
    if (isDirectory === undefined ? !/\.(db|sqlite3?)$/i.test(dir) : isDirectory) return { kind: 'file', dir };
    const fact = `${name}: a path alone is that of a directory, and this is a file's`;
    throw new QueuectlError(code, fact, `Give ${give(`sqlite:${text}`)}.`);
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
    if (path === ':memory:') throw unknown('a store in memory would be gone with the program');
    if (path !== '') return { kind, path: absolute(path) };
    const remedy = `Give ${give('sqlite:/path/queue.db')}.`;
    return { kind, path: join(defaultDirectory(surroundings, { code, remedy }), 'queue.db') };
  }
  if (path === '') throw unknown('it names no directory');
  return { kind, dir: absolute(path) };
}

/** @throws QueuectlError of the origin's code: it is an address */
export function readDirectory(text: string, { code, name, give }: Origin): StoreAddress {
  if (text.includes('\0')) throw new QueuectlError(code, `${name}: a path has no NUL character`, 'Give a directory.');
  if (mayBeLossy(text)) throw new QueuectlError(code, `${name}: ${NOT_UTF8}`, 'Give another directory.');
  const scheme = ADDRESS.exec(text)?.[1]?.toLowerCase() ?? '';
  const isOurs = scheme === 'file' || scheme === 'sqlite';
  if (!isOurs && OTHER_STORES[scheme] === undefined) return { kind: 'file', dir: absolute(text) };
  const remedy = isOurs ? `Give ${give(text)}.` : `Give a directory, or ${give('sqlite:/path/queue.db')}.`;
  throw new QueuectlError(code, `${name} is a directory, and this is an address (${scheme}:)`, remedy);
}

/** An address or a directory in a file of variables: a relative path in it begins where the file is. */
export function fromFile(text: string, dir: string): string {
  const [, scheme, rest] = ADDRESS.exec(text) ?? [];
  if (scheme === undefined) return resolve(dir, text);
  const isPath = /^(file|sqlite)$/i.test(scheme) && rest !== undefined && rest !== '' && rest !== ':memory:';
  return isPath && !rest.startsWith('/') ? `${scheme}:${resolve(dir, rest)}` : text;
}

/** What is said where there is no home directory. */
type Homeless = Pick<QueuectlError, 'code' | 'remedy'>;

/**
 * `db/data` in a clone, else `$XDG_STATE_HOME/queuectl`, else `~/.local/state/queuectl`.
 *
 * @throws QueuectlError of that code: there is no home directory, or it is not UTF-8
 */
export function defaultDirectory(surroundings: Surroundings, homeless: Homeless): string {
  const directory = usualDirectory(surroundings, homeless);
  if (!mayBeLossy(directory)) return directory;
  throw new QueuectlError(homeless.code, `the path ${directory} is not UTF-8`, homeless.remedy);
}

function usualDirectory(
  { env, programFile, userHome = () => userInfo().homedir }: Surroundings,
  homeless: Homeless,
): string {
  const clone = findClone(programFile);
  if (clone !== undefined) return join(clone, 'db', 'data');
  const xdg = env.XDG_STATE_HOME;
  // The XDG base directory specification: a relative path is invalid and to be ignored.
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'queuectl');
  return join(homeDirectory(env.HOME, userHome, homeless), '.local', 'state', 'queuectl');
}

function homeDirectory(home: string | undefined, userHome: () => string, { code, remedy }: Homeless): string {
  if (home !== undefined && isAbsolute(home)) return home;
  try {
    const known = userHome();
    if (isAbsolute(known)) return known;
  } catch (error) {
    if (errnoCode(error) !== 'ERR_SYSTEM_ERROR') throw error; // else the user is not in the system's list
  }
  const fact =
    'the queue is kept in the home directory, and there is none: $HOME names no directory, nor does the system';
  throw new QueuectlError(code, fact, remedy);
}

/** The clone that a program file lies in, or undefined: a published package has no tsconfig.json. */
export function findClone(programFile: string): string | undefined {
  const dir = dirname(programFile);
  const root = basename(dir) === 'dist' ? dirname(dir) : dirname(dirname(dir));
  const isProgram = [join(root, 'dist'), join(root, 'cli', 'bin')].includes(dir);
  return isProgram && existsSync(join(root, 'tsconfig.json')) ? root : undefined;
}

const absolute = (path: string) => (isAbsolute(path) ? resolve(path) : resolve(currentDirectory(), path));

/** @throws QueuectlError STORAGE: it has been deleted, or is not UTF-8 */
export function currentDirectory(): string {
  try {
    const directory = process.cwd();
    if (!mayBeLossy(directory)) return directory;
    throw new QueuectlError(
      'STORAGE',
      `the path of the current directory is not UTF-8: ${directory}`,
      'Go to another one.',
    );
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    throw new QueuectlError('STORAGE', 'the current directory has been deleted', 'Go to another one.');
  }
}
