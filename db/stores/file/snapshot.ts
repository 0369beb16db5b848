/** The snapshot's files: read whole, told from other versions, and laid out anew, a record a line. */
import { constants } from 'node:buffer';
import { crc32 } from '../../../utils/checksum.js';
import { damaged, type FileIdentity, identityOf, parseJsonFile, readLong, sameIdentity } from '../../../utils/files.js';
import { joinLines, lengthOf, type Pieces, parseElements } from '../../../utils/pieces.js';
import type { Job } from '../../model/job.js';
import type { NamedFile } from './journal.js';
import type { SnapshotFile } from './snapshotFiles.js';

/** A file of the snapshot as one process has met it. */
export interface BaseFile {
  readonly file: SnapshotFile;
  readonly path: string;
  readonly identity: FileIdentity | null;
  /** Undefined until it is read. */
  content: Pieces | undefined;
}

/** What a snapshot file is to hold, and its checksum as a journal names it. */
export interface Content {
  readonly bytes: Pieces;
  readonly crc32: number;
}

/** The snapshot that a view has not read yet has been replaced: the view is of no use any more. */
export class SnapshotGoneError extends Error {
  constructor() {
    super('the snapshot was replaced before it was read');
    this.name = 'SnapshotGoneError';
  }
}

/** What a snapshot file of no records holds. */
export const EMPTY_FILE = '[]\n';
const FILE_END = '\n]\n';

export const unreadBase = (file: SnapshotFile, path: string): BaseFile => ({
  file,
  path,
  identity: identityOf(path),
  content: undefined,
});

export function readBase(file: SnapshotFile, path: string, onProgress = idly): BaseFile {
  const { identity, content } = readLong(path, onProgress) ?? { identity: null, content: [] };
  return { file, path, identity, content };
}

/** For who has nobody to tell of his progress. */
const idly = () => {};

/** @param onProgress called now and then @throws SnapshotGoneError */
export function contentOf(base: BaseFile, onProgress = idly): Pieces {
  if (base.content !== undefined) return base.content;
  const { identity, content } = readBase(base.file, base.path, onProgress);
  if (!sameIdentity(identity, base.identity)) throw new SnapshotGoneError();
  base.content = content;
  return content ?? [];
}

/**
 * What a snapshot file of these jobs holds: one record per line, so that grep, diff and jq all work.
 *
 * @param onProgress called now and then
 */
export function contentOfJobs({ toRow }: SnapshotFile, jobs: readonly Job[], onProgress: () => void): Content {
  if (jobs.length === 0) return withChecksum([Buffer.from(EMPTY_FILE)]);
  return withChecksum(joinLines(rowsOf(jobs, toRow), ['[\n', ',\n', FILE_END], onProgress));
}

function* rowsOf(jobs: readonly Job[], toRow: SnapshotFile['toRow']): Generator<string> {
  for (const job of jobs) yield JSON.stringify(toRow(job));
}

/**
 * What queue.json holds after jobs were added behind those it had.
 *
 * @param lines the jobs as JSON
 * @param oldest when the first of them was created
 * @param known the checksum of the file as it was, where it is known
 * @param onProgress called now and then
 * @returns undefined where they do not belong behind its last one
 */
export function contentBehind(
  base: BaseFile,
  {
    lines,
    oldest,
    known,
  }: { readonly lines: readonly string[]; readonly oldest: number; readonly known: number | undefined },
  onProgress: () => void,
): Content | undefined {
  const content = contentOf(base);
  const last = content.at(-1) ?? EMPTY;
  if (base.identity === null || (content.length === 1 && last.equals(EMPTY))) {
    return withChecksum(joinLines(lines, ['[\n', ',\n', FILE_END], onProgress));
  }
  const bodyEnd = last.length - FILE_END.length;
  if (!last.subarray(bodyEnd).equals(Buffer.from(FILE_END))) return undefined;
  const lastLine = last.subarray(last.lastIndexOf('\n', bodyEnd - 1) + 1, bodyEnd);
  const lastJob = base.file.fromRow(JSON.parse(lastLine.toString('utf8')));
  if (typeof lastJob === 'string' || lastJob.created_at > oldest) return undefined;
  const [first = EMPTY, ...more] = joinLines(lines, [',\n', ',\n', FILE_END], onProgress);
  const joined = Buffer.concat([last.subarray(0, bodyEnd), first]);
  const bytes = [...content.slice(0, -1), joined, ...more];
  return known === undefined ? withChecksum(bytes) : withChecksum(bytes, lengthOf(content) - FILE_END.length, known);
}

const EMPTY = Buffer.from(EMPTY_FILE);

/** @param crc the checksum of the first `known` bytes */
const withChecksum = (bytes: Pieces, known = 0, crc = 0): Content => ({ bytes, crc32: checksumOf(bytes, known, crc) });

function checksumOf(bytes: Pieces, known = 0, crc = 0): number {
  let checksum = crc;
  let before = 0;
  const end = lengthOf(bytes) - FILE_END.length;
  for (const piece of bytes) {
    const [from, to] = [Math.max(known - before, 0), Math.min(end - before, piece.length)];
    if (from < to) checksum = crc32(piece.subarray(from, to), checksum);
    before += piece.length;
  }
  return checksum;
}

/** Whether the file is the one that was named, restored from a backup. */
export const isCopy = (base: BaseFile, named: NamedFile | null): boolean =>
  base.identity?.size === named?.size && named?.crc32 === checksumOf(contentOf(base));

/**
 * @param onProgress called now and then
 * @throws QueuectlError DAMAGED, naming the element that is no record, or the id that occurs twice
 */
export function parseJobs(base: BaseFile, onProgress: () => void): Job[] {
  const { file, path, identity } = base;
  if (identity === null) return []; // only a missing file is empty
  const values = parseArray(path, contentOf(base, onProgress), onProgress);
  const jobs: Job[] = [];
  const ids = new Set<string>();
  for (const [index, value] of values.entries()) {
    const job = file.fromRow(value);
    if (typeof job === 'string') throw damaged(path, `element ${index + 1}: ${job}`);
    if (ids.has(job.id)) throw damaged(path, `element ${index + 1}: the id ${JSON.stringify(job.id)} occurs twice`);
    ids.add(job.id);
    jobs.push(job);
  }
  return jobs;
}

function parseArray(path: string, content: Pieces, onProgress: () => void): unknown[] {
  const elements = content.length > 1 ? parseElements(content, onProgress) : undefined;
  if (elements !== undefined) return elements;
  if (lengthOf(content) > constants.MAX_STRING_LENGTH) throw damaged(path, 'it is no JSON array of one record a line');
  const values = parseJsonFile(path, Buffer.concat(content));
  if (!Array.isArray(values)) throw damaged(path, 'it is not a JSON array');
  return values as unknown[];
}
