/** What every store on a disk is looked over for: where it lies, whose its files are, and who else can use them. */
import fs from 'node:fs';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { findSharing, freeBytes } from '../../utils/fileSystem.js';
import type { Check } from '../store.js';
import { isTrusted } from './trust.js';

export const FIX = '`queuectl doctor --fix`';

export const ok = (name: string, fact: string): Check => ({ name, state: 'ok', fact });

/** What cannot be looked at is wrong. */
export async function looked(name: string, check: () => Check | Promise<Check>): Promise<Check> {
  try {
    return await check();
  } catch (error) {
    return unusable(name, error);
  }
}

export function unusable(name: string, error: unknown): Check {
  const reason = storageError(error, `use the ${name}`);
  if (!(reason instanceof QueuectlError)) throw reason;
  return { name, state: 'wrong', fact: reason.fact, remedy: reason.remedy };
}

/** Up to three of them, and how many more there are. */
export const listed = (facts: readonly string[]): string =>
  `${facts.slice(0, 3).join('; ')}${facts.length > 3 ? ` (and ${facts.length - 3} more)` : ''}`;

export const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

/** Where what a repair replaces at this moment is kept. */
export const momentDirectory = (replaced: string, now: number): string =>
  `${replaced}/${new Date(now).toISOString().replaceAll(':', '')}`;

/** A file or a directory of a store. A directory may be a link to where there is room for it; a file may not. */
export interface Part {
  readonly path: string;
  readonly kind: 'file' | 'directory';
  /** The bits of its mode that its owner cannot do without; absent: those to read and write it, and to enter a directory. */
  readonly needed?: number;
}

/** Folders, and the files in those that can be looked into. @param needed of the files, as a `Part` has it */
export function partsIn(folders: readonly string[], needed?: number): Part[] {
  return folders.flatMap((folder) => [
    { path: folder, kind: 'directory' } as const,
    ...(visibleNames(folder) ?? []).map(
      (name) => ({ path: `${folder}/${name}`, kind: 'file', ...(needed === undefined ? {} : { needed }) }) as const,
    ),
  ]);
}

/** @returns undefined when they cannot be listed */
export function visibleNames(directory: string): string[] | undefined {
  try {
    return fs.readdirSync(directory);
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return undefined;
  }
}

interface Found extends Part {
  readonly stat: fs.Stats;
  /** The bits of its mode that let others in. */
  readonly forbidden: number;
  readonly needed: number;
}

/** @param dir the directory that the parts are in; to see which files there are tells nobody anything */
function find(dir: string, parts: readonly Part[]): Found[] {
  const all: (Part & Pick<Found, 'forbidden'>)[] = parts.map((part) => ({ ...part, forbidden: 0o077 }));
  all.unshift({ path: dir, kind: 'directory', forbidden: isTrusted() ? 0 : 0o022 });
  return all.flatMap((part) => {
    const stat = (part.kind === 'file' ? fs.lstatSync : fs.statSync)(part.path, { throwIfNoEntry: false });
    const needed = part.needed ?? (part.kind === 'file' ? 0o600 : 0o700);
    return stat === undefined ? [] : [{ ...part, needed, stat }];
  });
}

const isItsKind = ({ kind, stat }: Found) => (kind === 'file' ? stat.isFile() : stat.isDirectory());
const isOurs = ({ stat }: Found) => stat.uid === process.geteuid?.();

export function checkOwnership(dir: string, parts: readonly Part[]): Check {
  const name = 'ownership';
  const faults = find(dir, parts).flatMap((part) => {
    if (!isItsKind(part)) return [`${part.path} is no ${part.kind}`];
    return isOurs(part) ? [] : [`${part.path} belongs to another user (uid ${part.stat.uid})`];
  });
  if (faults.length === 0) return ok(name, 'every file is yours, and no link');
  return { name, state: 'wrong', fact: listed(faults), remedy: 'Put that right by hand.' };
}

export function checkPermissions(dir: string, parts: readonly Part[]): Check {
  const name = 'permissions';
  const wrong = find(dir, parts).filter(
    (part) => isItsKind(part) && isOurs(part) && modeFor(part) !== (part.stat.mode & 0o777),
  );
  if (wrong.length === 0) return ok(name, 'only you can read the files');
  return {
    name,
    state: 'wrong',
    fact: listed(wrong.map(describeMode)),
    remedy: `${FIX} puts that right.`,
    repair: async () => {
      for (const part of wrong) chmod(part.path, modeFor(part));
      return 'put right';
    },
  };
}

const isOpen = ({ stat, forbidden }: Found) => (stat.mode & forbidden) !== 0;

const modeFor = (part: Found) => (part.stat.mode & (isOpen(part) ? 0o700 : 0o777)) | part.needed;

function describeMode(part: Found): string {
  const who = isOpen(part) ? 'can be used by others' : 'cannot be used by you';
  return `${part.path} ${who} (mode ${(part.stat.mode & 0o777).toString(8).padStart(3, '0')})`;
}

function chmod(path: string, mode: number): void {
  try {
    fs.chmodSync(path, mode);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw storageError(error, `change the mode of ${path}`);
  }
}

/**
 * @param place what the user knows the store by
 * @param dir the directory it is in
 * @param needed the room that is needed, and for what
 */
export function checkFileSystem(
  place: string,
  dir: string,
  needed: { readonly bytes: number; readonly words: string },
  remedy: string,
): Check {
  const name = 'file system';
  const sharing = findSharing(dir);
  if (sharing !== undefined) return { name, state: 'wrong', fact: `${place} is in ${sharing}`, remedy };
  const free = freeBytes(dir);
  if (free === Number.POSITIVE_INFINITY) return ok(name, 'local, of no fixed size');
  if (free >= needed.bytes) return ok(name, `local, ${megabytes(free)} MB free`);
  const fact = `${megabytes(free)} MB are free, and ${needed.words} needs ${megabytes(needed.bytes)} MB`;
  return { name, state: 'wrong', fact, remedy: 'Make room.' };
}

const megabytes = (bytes: number) => Math.round(bytes / 1e5) / 10;
