/** Steps in before each call that the store and the libraries beneath it make to the file system. */
import fs from 'node:fs';

export interface FsCall {
  readonly name: string;
  readonly args: readonly unknown[];
}

const NAMES = [
  'openSync',
  'closeSync',
  'readSync',
  'readFileSync',
  'statSync',
  'fstatSync',
  'lstatSync',
  'readdirSync',
  'writeSync',
  'fsyncSync',
  'fdatasyncSync',
  'renameSync',
  'linkSync',
  'rmSync',
  'unlinkSync',
  'mkdirSync',
  'rmdirSync',
  'lutimesSync',
  'chmodSync',
];

/** A call without effect, or with another one: what it returns instead. */
export interface Instead {
  readonly result: unknown;
}

/**
 * Has a function called before each call. It may throw, or return what the call is to return without being made.
 *
 * @returns a function that ends it
 */
export function onFsCall(before: (call: FsCall) => Instead | undefined): () => void {
  const originals = new Map<string, unknown>();
  for (const name of NAMES) {
    const original: unknown = Reflect.get(fs, name);
    if (typeof original !== 'function') throw new Error(`node:fs has no ${name}`);
    originals.set(name, original);
    Reflect.set(fs, name, (...args: unknown[]): unknown => {
      const instead = before({ name, args });
      return instead === undefined ? Reflect.apply(original, fs, args) : instead.result;
    });
  }
  return () => {
    for (const [name, original] of originals) Reflect.set(fs, name, original);
  };
}

/** For tests that end or stop processes but cut no power: what is written is there, on disk or not. */
export const skipFsync = (): (() => void) =>
  onFsCall(({ name }) => (/^f(data)?syncSync$/.test(name) ? { result: undefined } : undefined));

/** @param flags as `openSync` is given them */
export const opensToWrite = (flags: unknown): boolean =>
  typeof flags === 'number' ? (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0 : flags !== 'r';

const MAKE_SECOND = ['renameSync', 'linkSync'];

/** Whether a call names a file of this name in its first argument or, if it gives a file that name, its second. */
export const names = ({ name, args }: FsCall, file: string): boolean =>
  String(args[MAKE_SECOND.includes(name) ? 1 : 0]).endsWith(`/${file}`);
