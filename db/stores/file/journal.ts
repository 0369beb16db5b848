/**
 * The journal: the changes committed since the snapshot was last written, one line a commit.
 *
 * Promise: a line counts if and only if everybody who reads the file says so. The first line, the header, names the
 * number of the first commit and the snapshot it belongs to. Each further line carries the next number, without a gap.
 * A line is void if it is torn (not JSON) or if its number is already taken; whatever follows a seal is void too. The
 * file is only appended to, never cut, and a line without its newline was never committed: a writer that finds such an
 * end spoils it first, so that the missing newline can't commit it later.
 *
 * Assumes: an append of one `write` call lands in one piece (local file systems with O_APPEND do that).
 */
import { constants, isUtf8 } from 'node:buffer';
import fs from 'node:fs';
import { errnoCode, QueuectlError, storageError } from '../../../utils/errors.js';
import { damaged, type FileIdentity, noSpace, openRegular } from '../../../utils/files.js';
import { type Pieces, readPieces, readRange } from '../../../utils/pieces.js';
import { randomHex } from '../../../utils/random.js';
import { quote } from '../../../utils/text.js';
import type { Job } from '../../model/job.js';
import type { Change } from '../records.js';
import { type PerFile, SNAPSHOT_FILES, type SnapshotName } from './snapshotFiles.js';

/** A snapshot file as a journal names it. The checksum is only looked at when the identity differs: a restored backup. */
export interface NamedFile extends FileIdentity {
  /** The CRC-32 of all but the end of the array, so that it can be continued when records are added behind the last. */
  readonly crc32: number;
}

export interface JournalHeader extends PerFile<NamedFile | null> {
  /** The version of this format. */
  readonly journal: 1;
  /** The number of the first commit. */
  readonly first: number;
  /** When the fold that made this journal began, and how long it took, in milliseconds. */
  readonly folded_at: number;
  readonly fold_ms: number;
}

/** For each file that a commit changes: the rows that are put there, and the ids of those that go. */
interface Line extends Partial<PerFile<{ readonly put?: unknown; readonly del?: unknown }>> {
  readonly seq: number;
  /** Tells the lines of one writer from another's with the same number. */
  readonly by: string;
  readonly seal?: true;
}

/** A commit as it was read. */
export interface Commit {
  readonly seq: number;
  /** Tells who made it from another writer. */
  readonly by: string;
  readonly change: Change;
  /** The snapshot files that are to be written anew because of it. */
  readonly files: readonly SnapshotName[];
}

/** The number of a seal that counts whatever the numbers before it are. */
const REPAIRED = 0;

/** Makes a torn end unreadable for good; no JSON text ends like this. */
const SPOILER = '~\n';
const NEWLINE = 0x0a;

export class Journal {
  /** The number the next commit gets. */
  nextSeq: number;
  sealed = false;
  /** Sealed by a repair: what continues it may have less than it, so nobody goes on from here. */
  repaired = false;
  /** Commits in the file, the seal not counted. */
  commits = 0;
  /** Whole lines that are void because nobody can read them, those not counted that a writer has spoiled. */
  unreadable = 0;
  /** Behind the last whole line that was read. */
  private offset: number;
  /** The size of the file when it was read last: beyond `offset` if it ends torn. */
  private seen: number;
  private readonly writer = randomHex(8);

  private constructor(
    readonly path: string,
    private readonly fd: number,
    readonly ino: string,
    readonly header: JournalHeader,
    headerBytes: number,
    /** The error that writing it meets; undefined when it can be written. */
    private readonly obstacle: unknown,
  ) {
    this.nextSeq = header.first;
    this.offset = headerBytes;
    this.seen = headerBytes;
  }

  /**
   * Opens the journal and reads its header.
   *
   * @returns null when there is no journal
   * @throws QueuectlError DAMAGED, STORAGE
   */
  static open(path: string): Journal | null {
    let fd: number;
    let obstacle: unknown;
    try {
      fd = openRegular(path, fs.constants.O_RDWR | fs.constants.O_APPEND);
    } catch (error) {
      const code = errnoCode(error);
      if (code === 'ENOENT') return null;
      if (code !== 'EACCES' && code !== 'EROFS') throw storageError(error, `open ${path}`);
      fd = openReadOnly(path);
      obstacle = error;
    }
    try {
      const { header, bytes } = readHeader(fd, path);
      return new Journal(path, fd, String(fs.fstatSync(fd, { bigint: true }).ino), header, bytes, obstacle);
    } catch (error) {
      fs.closeSync(fd);
      throw storageError(error, `read ${path}`);
    }
  }

  /** What a new journal consists of. */
  static firstLine(header: JournalHeader): Buffer {
    return Buffer.from(`${JSON.stringify(header)}\n`);
  }

  close(): void {
    fs.closeSync(this.fd);
  }

  /** Whether this is (still) the journal that a newcomer would open. */
  isCurrent(): boolean {
    const { path } = this;
    const stat = reading(path, () => fs.statSync(path, { bigint: true, throwIfNoEntry: false }));
    return stat !== undefined && String(stat.ino) === this.ino;
  }

  /**
   * Reads what was appended since the last time.
   *
   * @param apply called with each commit, in order
   * @throws QueuectlError DAMAGED: a gap in the numbers, or a commit that is none; STORAGE
   */
  readNews(apply: (commit: Commit) => void): void {
    const { size } = reading(this.path, () => fs.fstatSync(this.fd));
    if (size < this.seen) throw damaged(this.path, `it was cut to ${size} bytes`);
    if (size === this.seen) return;
    const pieces = readPieces(this.fd, this.offset, size);
    const nextPiece = () => reading(this.path, () => pieces.next());
    for (let piece = nextPiece(); !piece.done; piece = nextPiece()) {
      const news = piece.value;
      let from = 0;
      for (let end = news.indexOf(NEWLINE); end !== -1; end = news.indexOf(NEWLINE, from)) {
        this.readLine(news.subarray(from, end), this.offset + from, apply);
        from = end + 1;
      }
      this.offset += from;
    }
    this.seen = size;
  }

  private readLine(bytes: Buffer, at: number, apply: (commit: Commit) => void): void {
    if (this.sealed) return;
    const line = parseLine(bytes);
    if (line === undefined && bytes.at(-1) !== SPOILER.charCodeAt(0)) this.unreadable += 1;
    if (line?.seal === true && line.seq === REPAIRED) {
      this.sealed = true;
      this.repaired = true;
    }
    if (line === undefined || line.seq < this.nextSeq) return;
    if (line.seq > this.nextSeq) {
      throw damaged(this.path, gapAt(at, line.seq, this.nextSeq));
    }
    const commit = commitOf(line);
    if (typeof commit === 'string') throw damaged(this.path, `in the commit at byte ${at}, ${commit}`);
    this.nextSeq += 1;
    if (line.seal === true) {
      this.sealed = true;
    } else {
      this.commits += 1;
      apply(commit);
    }
  }

  /**
   * Appends a commit, under the lock and after `readNews`.
   *
   * @param members what the line holds behind its number and its writer, as JSON
   * @param durable whether it must be on disk before this returns
   * @returns how it landed
   * @throws QueuectlError STORAGE: it is not committed, or not surely on disk
   */
  append(members: string, durable: boolean): Landing {
    const landing = this.appendLine(members);
    if (landing !== 'void') this.commits += 1;
    if (landing !== 'void' && durable) this.sync();
    return landing;
  }

  /** Ends this journal: puts the seal behind its last commit, and all of it on disk. */
  seal(): Landing {
    const landing = this.appendLine('"seal":true');
    if (landing === 'alone') {
      this.sealed = true;
      this.sync();
    }
    return landing;
  }

  private appendLine(members: string): Landing {
    if (this.obstacle !== undefined) throw storageError(this.obstacle, `write ${this.path}`);
    if (this.sealed) return 'void'; // by another process, since this one saw the journal begin
    const torn = this.seen > this.offset;
    const seq = this.nextSeq;
    const line = Buffer.from(`${torn ? SPOILER : ''}{"seq":${seq},"by":"${this.writer}",${members}}\n`);
    let written: number;
    try {
      written = fs.writeSync(this.fd, line);
    } catch (error) {
      throw storageError(error, `write ${this.path}`);
    }
    if (written < line.length) throw noSpace(this.path);
    if (fs.fstatSync(this.fd).size === this.seen + line.length) {
      this.nextSeq += 1;
      this.seen += line.length;
      this.offset = this.seen;
      return 'alone';
    }
    // Somebody who believed to hold the lock wrote too: the file says whose line has the number.
    let winner = '';
    this.readNews(({ by }) => {
      winner ||= by;
    });
    return winner === this.writer ? 'among others' : 'void';
  }

  private sync(): void {
    try {
      fs.fdatasyncSync(this.fd);
    } catch (error) {
      throw storageError(error, `write ${this.path}`);
    }
  }
}

/** What can be read of a journal, whatever is wrong with it. */
export interface SalvagedJournal {
  readonly commits: readonly Commit[];
  /** What is wrong, and where; empty for a journal that is whole, or not there. */
  readonly faults: readonly string[];
  /** Higher than every number in it. */
  readonly nextSeq: number;
  /** The version of the format, where it is one that only a newer queuectl reads. */
  readonly newer: number | undefined;
}

/** Reads every commit that can be read, gaps or not. @param content null when there is no journal */
export function salvageJournal(content: Pieces | null): SalvagedJournal {
  const commits: Commit[] = [];
  const faults: string[] = [];
  let nextSeq = 1;
  if (content === null) return { commits, faults, nextSeq, newer: undefined };
  const [first = Buffer.alloc(0)] = content;
  const header = parseObject(first.subarray(0, Math.max(first.indexOf(NEWLINE), 0)));
  const isHeaderWhole = header !== undefined && isHeader(header);
  if (header !== undefined && isNewer(header)) return { commits, faults, nextSeq, newer: Number(header.journal) };
  if (isHeaderWhole) nextSeq = header.first;
  else faults.push('its first line is no header');
  let isNumbered = isHeaderWhole;
  for (const { at, bytes } of linesOf(content)) {
    const line = parseLine(bytes);
    if (line?.seal === true && line.seq === REPAIRED) break;
    if (line === undefined || (isNumbered && line.seq < nextSeq)) continue;
    if (isNumbered && line.seq > nextSeq) faults.push(gapAt(at, line.seq, nextSeq));
    isNumbered = true;
    nextSeq = line.seq + 1;
    if (line.seal === true) break;
    const commit = commitOf(line);
    if (typeof commit === 'string') faults.push(`in the commit at byte ${at}, ${commit}`);
    else commits.push(commit);
  }
  return { commits, faults, nextSeq, newer: undefined };
}

/** The lines that are whole, and where each stands in the file. */
function* linesOf(content: Pieces): Generator<{ readonly at: number; readonly bytes: Buffer }> {
  let before = 0;
  for (const piece of content) {
    let from = 0;
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, from)) {
      yield { at: before + from, bytes: piece.subarray(from, end) };
      from = end + 1;
    }
    before += piece.length;
  }
}

/**
 * Puts a seal behind all that is in a damaged journal, which is about to be replaced: a process that was stopped while it
 * held the lock must not add to it. Does nothing where there is none.
 *
 * @throws QueuectlError STORAGE
 */
export function sealDamaged(path: string): void {
  let fd: number;
  try {
    fd = openRegular(path, fs.constants.O_WRONLY | fs.constants.O_APPEND);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return;
    throw storageError(error, `open ${path}`);
  }
  try {
    const line = Buffer.from(`${SPOILER}${JSON.stringify({ seq: REPAIRED, by: randomHex(8), seal: true })}\n`);
    if (fs.writeSync(fd, line) < line.length) throw noSpace(path);
    fs.fdatasyncSync(fd);
  } catch (error) {
    throw storageError(error, `write ${path}`);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * How an appended line landed: `alone`, where it was expected, so that memory and file agree; `among others`, it counts
 * but so do lines not read yet; `void`, another line has its number. After the last two what is in memory must be read
 * anew.
 */
export type Landing = 'alone' | 'among others' | 'void';

function openReadOnly(path: string): number {
  try {
    return openRegular(path, fs.constants.O_RDONLY);
  } catch (error) {
    throw storageError(error, `open ${path}`);
  }
}

/** @throws QueuectlError STORAGE: what was to be read of this file could not be */
function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw storageError(error, `read ${path}`);
  }
}

const HEADER_MAX_BYTES = 4096;

/** A journal is put into place with its header on disk, so one without it has been damaged since. */
function readHeader(fd: number, path: string): { header: JournalHeader; bytes: number } {
  const start = readRange(fd, 0, Math.min(fs.fstatSync(fd).size, HEADER_MAX_BYTES));
  const end = start.indexOf(NEWLINE);
  const header = parseObject(start.subarray(0, Math.max(end, 0)));
  if (header !== undefined && isNewer(header)) {
    throw new QueuectlError(
      'DAMAGED',
      `${path} has version ${quote(header.journal)}, and this queuectl reads version 1`,
      'Use the newer queuectl that wrote it.',
    );
  }
  if (header === undefined || !isHeader(header)) throw damaged(path, 'its first line is no header');
  return { header, bytes: end + 1 };
}

const isNewer = (header: Members) => Number.isInteger(header.journal) && header.journal !== 1;

const gapAt = (byte: number, found: number, expected: number) =>
  `at byte ${byte} stands commit ${found} where ${expected} should be`;

type Members = { readonly [name: string]: unknown };

const isObject = (value: unknown): value is Members => typeof value === 'object' && value !== null;

const isNamedFile = (value: unknown) => value === null || (isObject(value) && typeof value.ino === 'string');

const isHeader = (value: Members): value is Members & JournalHeader =>
  value.journal === 1 &&
  Number.isInteger(value.first) &&
  typeof value.folded_at === 'number' &&
  typeof value.fold_ms === 'number' &&
  SNAPSHOT_FILES.every(({ name }) => isNamedFile(value[name]));

function parseObject(bytes: Buffer): Members | undefined {
  if (bytes.length > constants.MAX_STRING_LENGTH || !isUtf8(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** @returns undefined for a torn line */
function parseLine(bytes: Buffer): Line | undefined {
  const line = parseObject(bytes);
  return line !== undefined && isLine(line) ? line : undefined;
}

const isLine = (value: Members): value is Members & Line =>
  typeof value.seq === 'number' && Number.isInteger(value.seq) && typeof value.by === 'string';

/** @returns the commit, or what is wrong with it */
function commitOf({ seq, by, seal, ...parts }: Line): Commit | string {
  const change = new Map<string, Job | null>();
  const files: SnapshotName[] = [];
  for (const { name } of SNAPSHOT_FILES) {
    const { del = [] } = parts[name] ?? {};
    if (!Array.isArray(del)) return PARTS_FAULT;
    for (const id of del as unknown[]) change.set(String(id), null);
  }
  // What goes from one file may stand in another from now on.
  for (const { name, fromRow } of SNAPSHOT_FILES) {
    const part = parts[name];
    if (part === undefined) continue;
    files.push(name);
    const { put = [] } = part;
    if (!Array.isArray(put)) return PARTS_FAULT;
    for (const row of put as unknown[]) {
      const job = fromRow(row);
      if (typeof job === 'string') return job;
      change.set(job.id, job);
    }
  }
  if (files.length === 0 && seal !== true) return 'there is neither "queue" nor "dlq"';
  return { seq, by, change, files };
}

const PARTS_FAULT = '"put" and "del" must be arrays';
