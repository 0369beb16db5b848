/** The snapshot's files: read whole, told from other versions, and laid out anew, a record a line. */
import { crc32 } from '../../../utils/checksum.js';
import {
  damaged,
  type FileIdentity,
  identityOf,
  parseJsonFile,
  readWhole,
  sameIdentity,
} from '../../../utils/files.js';
import type { Job } from '../../model/job.js';
import type { NamedFile } from './journal.js';
import type { SnapshotFile } from './snapshotFiles.js';

/** A file of the snapshot as one process has met it. */
export interface BaseFile {
  readonly file: SnapshotFile;
  readonly path: string;
  readonly identity: FileIdentity | null;
  /** Undefined until it is read. */
  content: Buffer | undefined;
}

/** What a snapshot file is to hold, and its checksum as a journal names it. */
export interface Content {
  readonly bytes: Buffer;
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
const NOTHING = Buffer.alloc(0);

export const unreadBase = (file: SnapshotFile, path: string): BaseFile => ({
  file,
  path,
  identity: identityOf(path),
  content: undefined,
});

export function readBase(file: SnapshotFile, path: string): BaseFile {
  const { identity, content } = readWhole(path) ?? { identity: null, content: NOTHING };
  return { file, path, identity, content };
}

/** @throws SnapshotGoneError */
export function contentOf(base: BaseFile): Buffer {
  if (base.content !== undefined) return base.content;
  const { identity, content } = readBase(base.file, base.path);
  if (!sameIdentity(identity, base.identity)) throw new SnapshotGoneError();
  base.content = content;
  return content ?? NOTHING;
}

/** What a snapshot file of these jobs holds: one record per line, so that grep, diff and jq all work. */
export function contentOfJobs({ toRow }: SnapshotFile, jobs: readonly Job[]): Content {
  if (jobs.length === 0) return withChecksum(Buffer.from(EMPTY_FILE));
  return withChecksum(Buffer.from(`[\n${jobs.map((job) => JSON.stringify(toRow(job))).join(',\n')}${FILE_END}`));
}

/**
 * What queue.json holds after jobs were added behind those it had.
 *
 * @param lines the jobs as JSON
 * @param oldest when the first of them was created
 * @param known the checksum of the file as it was, where it is known
 * @returns undefined where they do not belong behind its last one
 */
export function contentBehind(
  base: BaseFile,
  lines: readonly string[],
  oldest: number,
  known: number | undefined,
): Content | undefined {
  const content = contentOf(base);
  if (base.identity === null || content.equals(Buffer.from(EMPTY_FILE))) {
    return withChecksum(Buffer.from(`[\n${lines.join(',\n')}${FILE_END}`));
  }
  const bodyEnd = content.length - FILE_END.length;
  if (!content.subarray(bodyEnd).equals(Buffer.from(FILE_END))) return undefined;
  const lastLine = content.subarray(content.lastIndexOf('\n', bodyEnd - 1) + 1, bodyEnd);
  const last = base.file.fromRow(JSON.parse(lastLine.toString('utf8')));
  if (typeof last === 'string' || last.created_at > oldest) return undefined;
  const bytes = Buffer.concat([content.subarray(0, bodyEnd), Buffer.from(`,\n${lines.join(',\n')}${FILE_END}`)]);
  return known === undefined ? withChecksum(bytes) : withChecksum(bytes, bodyEnd, known);
}

/** @param crc the checksum of the first `known` bytes */
const withChecksum = (bytes: Buffer, known = 0, crc = 0): Content => ({ bytes, crc32: checksumOf(bytes, known, crc) });

const checksumOf = (bytes: Buffer, known = 0, crc = 0): number =>
  crc32(bytes.subarray(known, bytes.length - FILE_END.length), crc);

/** Whether the file is the one that was named, restored from a backup. */
export const isCopy = (base: BaseFile, named: NamedFile | null): boolean =>
  base.identity?.size === named?.size && named?.crc32 === checksumOf(contentOf(base));

/** @throws QueuectlError DAMAGED, naming the element that is no record, or the id that occurs twice */
export function parseJobs(base: BaseFile): Job[] {
  const { file, path, identity } = base;
  if (identity === null) return []; // only a missing file is empty
  const values = parseJsonFile(path, contentOf(base));
  if (!Array.isArray(values)) throw damaged(path, 'it is not a JSON array');
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
