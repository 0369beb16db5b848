/** Reading and replacing whole files so that nobody ever sees half of one. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import writeFileAtomic from 'write-file-atomic';
import { errnoCode, QueuectlError, storageError } from './errors.js';

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

/** @returns the file and which version of it was read, or null when there is none */
export function readWhole(path: string): { content: Buffer; identity: FileIdentity } | null {
  let fd: number;
  try {
    fd = fs.openSync(path, 'r');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return null;
    throw storageError(error, `read ${path}`);
  }
  try {
    const content = fs.readFileSync(fd);
    return { content, identity: toIdentity(fs.fstatSync(fd, { bigint: true })) };
  } catch (error) {
    throw storageError(error, `read ${path}`);
  } finally {
    fs.closeSync(fd);
  }
}

let tempFilesMade = 0;
const TEMP_FILE = /\.\d+-\d+\.tmp(\.\d+)?$/;

/**
 * Writes what is to replace a file, beside it, on disk with mode 0600. `rename` then puts it into place.
 *
 * write-file-atomic does not notice a short write: on a full disk version 7.0.1 keeps a truncated file and reports
 * success. Hence the check of the length.
 *
 * @returns the temporary file's path and identity; a rename keeps the identity
 */
export function writeTemp(path: string, content: Buffer): { path: string; identity: FileIdentity } {
  tempFilesMade += 1;
  const temp = `${path}.${process.pid}-${tempFilesMade}.tmp`;
  try {
    writeFileAtomic.sync(temp, content, { mode: 0o600 });
  } catch (error) {
    removeFile(temp);
    throw storageError(error, `write ${path}`);
  }
  const identity = identityOf(temp);
  if (identity?.size === content.length) return { path: temp, identity };
  removeFile(temp);
  throw noSpace(path);
}

/** The error for a write that the system cut short. */
export const noSpace = (path: string): QueuectlError =>
  new QueuectlError('STORAGE', `cannot write ${path}: no space left on device`, 'Make room and try again.');

/** Removes what interrupted replacements left in a directory. */
export function removeTempFiles(directory: string): void {
  for (const name of fs.readdirSync(directory)) {
    if (TEMP_FILE.test(name)) removeFile(`${directory}/${name}`);
  }
}

/** Does nothing when there is no such file. */
export function removeFile(path: string): void {
  fs.rmSync(path, { force: true });
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

export const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

/**
 * Parses a JSON file of the store.
 *
 * @throws QueuectlError DAMAGED, with the line and column of the first fault
 */
export function parseJsonFile(path: string, content: Buffer): unknown {
  const text = content.toString('utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(path, `it is not JSON${placeOf(error, text)}`);
  }
}

/** The error for a file that cannot be trusted; nothing ever overwrites such a file. */
export const damaged = (path: string, fault: string): QueuectlError =>
  new QueuectlError('DAMAGED', `${path} is damaged: ${fault}`, 'Nothing was changed; repair it or restore a backup.');

function placeOf(error: unknown, text: string): string {
  if (!(error instanceof SyntaxError)) return '';
  const position = /at position (\d+)/.exec(error.message)?.[1];
  const before = text.slice(0, position === undefined ? text.length : Number(position));
  const line = before.split('\n').length;
  return ` (line ${line}, column ${before.length - before.lastIndexOf('\n')})`;
}
