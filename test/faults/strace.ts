/** Faults at single system calls of a command that uses a store, by strace. */
import { readFileSync } from 'node:fs';
import { type Ended, type Environment, missing, run } from './run.js';

/** Those by which a process touches a store. The names differ by architecture; `?` allows for those that are not there. */
const CHANGING = [
  ...['open', 'openat', 'write', 'pwrite64', 'fsync', 'fdatasync', 'rename', 'renameat', 'renameat2', 'link', 'linkat'],
  ...['unlink', 'unlinkat', 'mkdir', 'mkdirat', 'utimensat', 'chmod', 'fchmodat', 'ftruncate'],
];
const LOOKING = [
  'fcntl',
  'read',
  'pread64',
  'getdents64',
  'statx',
  'newfstatat',
  'fstat',
  'close',
  'inotify_add_watch',
];
const TRACED = [...CHANGING, ...LOOKING].map((name) => `?${name}`).join(',');

export interface Call {
  readonly name: string;
  /** The how manieth call of this name it is, from 1. */
  readonly nth: number;
  /** As strace shows it. */
  readonly text: string;
}

export interface Traced extends Ended {
  /** Of the main thread, where all that the store does is done; in order. */
  readonly calls: readonly Call[];
}

/** Why tests that need strace are to be skipped, or false. */
export const straceMissing = missing('strace', '-y', '-o', '/dev/null', '-e', 'inject=?rename:error=EIO', 'true');

/** Not within it: a worker that is told of what happens there would be told of its own reading of that, and so on. */
const logOf = (directory: string) => `${directory}.log`;

/**
 * Runs a command under strace, which keeps its log beside the store's directory.
 *
 * @param fault what happens at which calls, as in `rename:error=EIO:when=2`
 * @param file the only one whose calls count, if given
 */
export async function trace(
  command: readonly string[],
  options: Environment,
  fault?: string,
  file?: string,
): Promise<Traced> {
  const inject = [
    ...(fault === undefined ? [] : ['-e', `inject=${fault}`]),
    ...(file === undefined ? [] : ['-P', file]),
  ];
  const ended = await run(
    ['strace', '-y', '-o', logOf(options.directory), '-e', `trace=${TRACED}`, ...inject, '--', ...command],
    options,
  );
  return { ...ended, calls: callsIn(options.directory) };
}

/** The calls of a command that was traced with this directory. */
export function callsIn(directory: string): Call[] {
  const seen = new Map<string, number>();
  const calls: Call[] = [];
  for (const text of readFileSync(logOf(directory), 'utf8').split('\n')) {
    const name = /^(\w+)\(/.exec(text)?.[1];
    if (name === undefined) continue; // the end of the process, or a signal
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    calls.push({ name, nth, text });
  }
  return calls;
}

/** Whether a call names this directory or a file in it, or has one open. No other path may begin with its. */
export const touches = (dir: string, { text }: Call): boolean => text.includes(`"${dir}`) || text.includes(`<${dir}`);

/** The file of this directory that a call is about: the first that it names, or has open. */
export function fileOf(dir: string, { text }: Call): string | undefined {
  const at = [text.indexOf(`"${dir}`), text.indexOf(`<${dir}`)].filter((found) => found >= 0);
  return at.length === 0 ? undefined : /^.([^">]*)/.exec(text.slice(Math.min(...at)))?.[1];
}

/** Whether a call can change what is on disk. */
export const isChange = ({ name, text }: Call): boolean =>
  CHANGING.includes(name) && !(name.startsWith('open') && !/O_CREAT|O_RDWR|O_WRONLY/.test(text));

/** Whether a call tells the user that it is done. */
export const isAnswer = ({ name, text }: Call): boolean => name === 'write' && text.startsWith('write(1<');
