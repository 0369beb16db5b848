/** Reading and replacing whole files so that nobody ever sees half of one. */
import { isUtf8 } from 'node:buffer';
import fs from 'node:fs';
import { constants } from 'node:os';
import { basename, dirname } from 'node:path';
import { errnoCode, NOT_REGULAR, QueuectlError, storageError } from './errors.js';
import { findJsonFault } from './jsonFault.js';
import { type Pieces, readPieces } from './pieces.js';

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;

/** Tells one version of a file from another: any replacement changes the inode, any edit the size or the time. */
export interface FileIdentity {
  readonly ino: string;
  readonly size: number;
  readonly mtime_ns: string;
}

export const sameIdentity = (a: FileIdentity | null, b: FileIdentity | null): boolean =>
  a === null || b === null ? a === b : a.ino === b.ino && a.size === b.size && a.mtime_ns === b.mtime_ns;

const toIdentity = (stat: fs.BigIntStats): FileIdentity => ({
  ino: String(stat.ino),
  size: Number(stat.size),
  mtime_ns: String(stat.mtimeNs),
});

/** @returns null when there is no such file */
export function identityOf(path: string): FileIdentity | null {
  try {
    const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? null : toIdentity(stat);
  } catch (error) {
    throw storageError(error, `look at ${path}`);
  }
}

/**
 * Opens a file of ours so that nothing in its place can hold us up, as a FIFO would until somebody opens its other end.
 *
 * @param flags as `fs.constants` has them; a file that is made has mode 0600
 * @throws the system's error; EISDIR or ENOTREG when something else than a file is there
 */
export function openRegular(path: string, flags: number): number {
  const fd = openWithoutWait(path, flags);
  let stat: fs.Stats | undefined;
  try {
    stat = fs.fstatSync(fd);
  } finally {
    if (!stat?.isFile()) fs.closeSync(fd);
  }
  if (stat.isFile()) return fd;
  throw notRegular(path, stat);
}

function openWithoutWait(path: string, flags: number): number {
  try {
    return fs.openSync(path, flags | O_NONBLOCK, 0o600);
  } catch (error) {
    const code = errnoCode(error);
    const stat = code === 'EAGAIN' || code === 'ENXIO' ? fs.statSync(path, { throwIfNoEntry: false }) : undefined;
    if (stat === undefined) throw error;
    if (!stat.isFile()) throw notRegular(path, stat); // a socket, or a FIFO that nobody reads
    return fs.openSync(path, flags, 0o600); // somebody has a lease on it (fcntl(2)), and gives it up to who waits
  }
}

function notRegular(path: string, stat: fs.Stats): Error {
  const isDirectory = stat.isDirectory();
  const { EISDIR, ENXIO } = constants.errno;
  const [code, errno] = isDirectory ? ['EISDIR', EISDIR] : [NOT_REGULAR, ENXIO];
  return Object.assign(new Error(path), { code, errno: -errno, path });
}

/** @returns the file and which version of it was read, or null when there is none */
export const readWhole = (path: string): { content: Buffer; identity: FileIdentity } | null =>
  readBy(path, (fd) => fs.readFileSync(fd));

/** The same of a file that may be too long for one buffer. @param onProgress called now and then */
export const readLong = (
  path: string,
  onProgress: () => void = () => {},
): { content: Pieces; identity: FileIdentity } | null =>
  readBy(path, (fd) => {
    const pieces: Buffer[] = [];
    for (const piece of readPieces(fd, 0, fs.fstatSync(fd).size)) {
      pieces.push(piece);
      onProgress();
    }
    return pieces;
  });

function readBy<T>(path: string, read: (fd: number) => T): { content: T; identity: FileIdentity } | null {
  let fd: number;
  try {
    fd = openRegular(path, O_RDONLY);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return null;
    throw storageError(error, `read ${path}`);
  }
  try {
    const content = read(fd);
    return { content, identity: toIdentity(fs.fstatSync(fd, { bigint: true })) };
  } catch (error) {
    throw storageError(error, `read ${path}`);
  } finally {
    fs.closeSync(fd);
  }
}

/** @returns null, too, when something else than a file is there */
export function readRegular(path: string): Buffer | null {
  try {
    return readWhole(path)?.content ?? null;
  } catch (error) {
    const code = error instanceof QueuectlError ? errnoCode(error.cause) : undefined;
    if (code === NOT_REGULAR || code === 'EISDIR' || code === 'ELOOP') return null;
    throw error;
  }
}

/** The last bytes of an open file, so many at most. @throws the system's error */
export function readTail(fd: number, bytes: number): Buffer {
  const { size } = fs.fstatSync(fd);
  const start = Math.max(0, size - bytes);
  const tail = Buffer.alloc(size - start);
  return tail.subarray(0, fs.readSync(fd, tail, 0, tail.length, start));
}

/** The error for a write that the system cut short. */
export const noSpace = (path: string): QueuectlError =>
  new QueuectlError('STORAGE', `cannot write ${path}: no space left on device`, 'Make room and try again.', {
    data: { path, errno: 'ENOSPC' },
  });

/** The names in a directory; none if it is not there. @throws QueuectlError STORAGE */
export function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw storageError(error, `read ${directory}`);
  }
}

/** The file it was to replace, and the pid of who wrote it; write-file-atomic may add a number of its own. */
const TEMP_NAME = /^(.+)\.(\d+)-[0-9a-f]+\.tmp(?:\.\d+)?$/;

export interface TempFile {
  readonly path: string;
  /** The name of the file that it was to replace. */
  readonly target: string;
  /** Who wrote it. */
  readonly pid: number;
}

/** What replacements that are under way, or were interrupted, have in a directory; nothing if it is not there. */
export function findTempFiles(directory: string): TempFile[] {
  return namesIn(directory).flatMap((name) => asTempFile(directory, name) ?? []);
}

/** @returns undefined for any other file */
export function asTempFile(directory: string, name: string): TempFile | undefined {
  const [, target, pid] = TEMP_NAME.exec(name) ?? [];
  return target === undefined ? undefined : { path: `${directory}/${name}`, target, pid: Number(pid) };
}

/**
 * Removes what interrupted replacements left beside files.
 *
 * @param paths the files that were to be replaced, all in one directory
 */
export function removeTempFiles(paths: readonly string[]): void {
  const names = paths.map((path) => basename(path));
  const directory = dirname(paths[0] ?? '.');
  try {
    for (const { path, target } of findTempFiles(directory)) if (names.includes(target)) removeFile(path);
  } catch (error) {
    throw storageError(error, `remove temporary files from ${directory}`);
  }
}

/**
 * Makes a directory and those above it, all with mode 0700; does nothing when it is there.
 *
 * Not by `recursive: true`: where a directory can't have children (as below /proc) Node 20 tries that for ever.
 */
export function makeDirectory(path: string): void {
  try {
    if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) return; // a tenth of what a failing mkdir takes
    fs.mkdirSync(path, { mode: 0o700 });
    syncDirectory(dirname(path)); // or a power cut would take it and all that is in it
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'EEXIST' && fs.statSync(path).isDirectory()) return; // somebody else has just made it
    const parent = dirname(path);
    if (code !== 'ENOENT' || parent === path || fs.existsSync(parent)) throw error;
    makeDirectory(parent);
    makeDirectory(path);
  }
}

/**
 * Opens a file to add to it, and makes it with mode 0600 when it is not there.
 *
 * @throws the system's error; ELOOP when the name is a link, which might lead out of the store
 */
export const openToAppend = (path: string): number => openRegular(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);

/**
 * Makes a file with mode 0600 to add to. One that is there loses its name first; who has it open keeps it.
 *
 * @throws the system's error
 */
export function makeToAppend(path: string): number {
  const flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL;
  try {
    return fs.openSync(path, flags, 0o600);
  } catch (error) {
    if (errnoCode(error) !== 'EEXIST') throw error;
    fs.unlinkSync(path);
    return fs.openSync(path, flags, 0o600);
  }
}

/** Does nothing when there is no such file. @throws QueuectlError STORAGE */
export function removeFile(path: string): void {
  try {
    fs.rmSync(path, { force: true });
  } catch (error) {
    throw storageError(error, `remove ${path}`);
  }
}

/** Makes the renames in a directory last through a power cut; write-file-atomic does not. */
export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** In hexadecimal digits. node:crypto is loaded late: it takes several milliseconds, and many a command hashes nothing. */
export const sha256 = (content: Buffer | string): string =>
  process.getBuiltinModule('node:crypto').createHash('sha256').update(content).digest('hex');

/**
 * Parses a JSON file of the store.
 *
 * @throws QueuectlError DAMAGED, with the line and column of the first fault
 */
export function parseJsonFile(path: string, content: Buffer): unknown {
  if (!isUtf8(content)) throw damaged(path, 'it is not UTF-8');
  const text = content.toString('utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw damaged(path, `it is not JSON${placeOf(text)}`);
  }
}

/** The error for a file that cannot be trusted; nothing ever overwrites such a file. */
export const damaged = (path: string, fault: string): QueuectlError =>
  new QueuectlError('DAMAGED', `${path} is damaged: ${fault}`, '`queuectl doctor` tells more, and can repair it.', {
    data: { path },
  });

function placeOf(text: string): string {
  const before = text.slice(0, findJsonFault(text));
  const line = before.split('\n').length;
  return ` (line ${line}, column ${before.length - before.lastIndexOf('\n')})`;
}
