/**
 * What one process knows of the queue: the snapshot it has read and the journal's changes since, kept up to date.
 *
 * Promise: after `open` or `refresh` a view equals the store after some whole number of commits, the last of them no
 * older than the call. No lock is needed: whoever replaces a snapshot has sealed the journal before and replaces the
 * journal after, so a reader that finds the same journal before and after has read files that belong together.
 *
 * The records are only parsed when somebody asks for them. Adding a job to a long queue needs just the proof that its
 * id is new, which a search through the snapshot's bytes gives; and a generated id is new without any.
 */
import { crc32 } from '../../../utils/checksum.js';
import {
  damaged,
  type FileIdentity,
  identityOf,
  parseJsonFile,
  readWhole,
  sameIdentity,
} from '../../../utils/files.js';
import { type DeadJob, findDeadJobFault, findJobFault, type Job } from '../../model/job.js';
import { Journal, type NamedFile } from './journal.js';
import type { StorePaths } from './paths.js';
import { type Change, QueueState } from './queueState.js';

/** A snapshot file. */
interface BaseFile {
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

/** Jobs added behind a base, the oldest first, as JSON. */
interface Added {
  readonly lines: string[];
  /** When the first of them was created, and the last. */
  readonly first: number | null;
  readonly last: number;
}

/** What a snapshot file of no records holds. */
export const EMPTY_FILE = '[]\n';
const FILE_END = '\n]\n';
/** Searching more bytes than this for new ids takes longer than parsing the records. */
const SEARCH_BYTES_MAX = 200_000_000;

export class View {
  /** Null until the first fold makes one. */
  private journalNow: Journal | null;
  private queueIdentity: FileIdentity | null;
  private dlqIdentity: FileIdentity | null;
  /** Whether records differ from the snapshot file, so that a fold must write it. */
  queueChanged = false;
  dlqChanged = false;
  /** The snapshot is not the one the journal names: somebody edited it at rest, and it is taken as it is. */
  private edited = false;
  /** The snapshot is not the one that the sealed journal names: it may have jobs that the journal has not. */
  snapshotIsAhead = false;

  private base: { readonly queue: BaseFile; readonly dlq: BaseFile } | null;
  private changes: Change[] = [];
  /** The ids in the first `changesIndexed` of `changes`. */
  private readonly changedIds = new Set<string>();
  private changesIndexed = 0;
  private loaded: QueueState | undefined;
  /** The jobs this process has added behind the base, as JSON; null once anything else has changed. */
  private added: Added | null = { lines: [], first: null, last: 0 };
  private bytesSearched = 0;

  private constructor(
    private readonly paths: StorePaths,
    journal: Journal | null,
    queue: BaseFile,
    dlq: BaseFile,
  ) {
    this.journalNow = journal;
    this.base = { queue, dlq };
    this.queueIdentity = queue.identity;
    this.dlqIdentity = dlq.identity;
  }

  /**
   * @param lazily leaves the snapshot unread until it is needed
   * @throws QueuectlError DAMAGED, STORAGE
   */
  static open(paths: StorePaths, lazily = false): View {
    const baseOf = lazily ? unreadBase : readBase;
    for (;;) {
      const journal = Journal.open(paths.journal);
      try {
        const view = new View(paths, journal, baseOf(paths.queue), baseOf(paths.dlq));
        journal?.readNews((change) => view.note(change));
        if (journal === null ? identityOf(paths.journal) === null : journal.isCurrent()) {
          view.checkSnapshot();
          return view;
        }
        journal?.close();
      } catch (error) {
        journal?.close();
        throw error;
      }
    }
  }

  /** @returns a view that is up to date: this one or, if too much has happened, another; this one is closed then */
  refresh(): View {
    for (;;) {
      const journal = this.journalNow;
      if (journal === null) {
        if (identityOf(this.paths.journal) === null && this.snapshotStands()) return this;
        return this.reopen();
      }
      journal.readNews((change) => this.note(change));
      if (!journal.isCurrent()) {
        journal.readNews((change) => this.note(change)); // up to the seal, which was there before it was replaced
        if (!this.followJournal(journal)) return this.reopen();
      } else {
        return this.snapshotStands() ? this : this.reopen(); // a fold is under way or was cut short, or it was edited
      }
    }
  }

  /** Goes on with the journal that has replaced the one read to its end. @returns false when a gap is left */
  private followJournal(old: Journal): boolean {
    if (this.isUnread) return false; // opened anew it costs nothing, and need not keep what has changed
    const next = Journal.open(this.paths.journal);
    if (next === null) return false;
    if (!old.sealed || old.repaired || next.header.first !== old.nextSeq) {
      next.close();
      return false;
    }
    this.adopt(next);
    return true;
  }

  /** Takes a journal that begins where this view stands, and the snapshot it names. */
  private adopt(journal: Journal): void {
    this.journalNow?.close();
    this.journalNow = journal;
    this.queueIdentity = journal.header.queue;
    this.dlqIdentity = journal.header.dlq;
    this.queueChanged = false;
    this.dlqChanged = false;
    this.edited = false;
    this.snapshotIsAhead = false;
  }

  private reopen(): View {
    this.close();
    return View.open(this.paths, this.isUnread);
  }

  private get isUnread(): boolean {
    return this.base?.queue.content === undefined && this.loaded === undefined;
  }

  close(): void {
    this.journalNow?.close();
    this.journalNow = null;
  }

  get journal(): Journal | null {
    return this.journalNow;
  }

  /** Whether there is anything that only a fold puts into the snapshot. */
  get needsFold(): boolean {
    return this.journalNow !== null && (this.journalNow.commits > 0 || this.journalNow.sealed);
  }

  /** Whether nothing may be committed before a fold: no journal yet, a sealed one, or a hand's edit. */
  get mustFoldFirst(): boolean {
    return this.journalNow === null || this.journalNow.sealed || this.edited;
  }

  private snapshotStands(): boolean {
    return (
      sameIdentity(identityOf(this.paths.queue), this.queueIdentity) &&
      sameIdentity(identityOf(this.paths.dlq), this.dlqIdentity)
    );
  }

  /** Holds the snapshot that was read against the one the journal names. */
  private checkSnapshot(): void {
    const { base, journal } = this;
    if (base === null) return;
    const header = journal?.header ?? null;
    const pairs = [
      [this.paths.queue, base.queue, header?.queue ?? null],
      [this.paths.dlq, base.dlq, header?.dlq ?? null],
    ] as const;
    for (const [path, found, named] of pairs) {
      if (header !== null && sameIdentity(found.identity, named)) continue;
      this.queueChanged = true; // so that the next journal names the files that are there
      this.dlqChanged = true;
      this.added = null;
      if (isCopy(found, named)) continue;
      if (journal !== null && journal.commits > 0 && !journal.sealed) {
        const what = found.identity === null ? 'it is gone, and was' : 'it is not';
        throw damaged(path, `${what} the file that ${this.paths.journal} continues`);
      }
      if (journal?.sealed) this.snapshotIsAhead = true;
      else this.edited = true;
    }
    if (this.edited) this.load();
  }

  private note(change: Change): void {
    if (change.jobs.size > 0) this.queueChanged = true;
    if (change.dead.size > 0) this.dlqChanged = true;
    this.added = null;
    if (this.loaded !== undefined) {
      this.loaded.apply(change);
      return;
    }
    this.changes.push(change);
  }

  /** Notes a commit of this process that only added jobs; `lines` are those jobs as JSON. */
  noteAdded(change: Change, lines: readonly string[]): void {
    const { added } = this;
    this.note(change);
    if (this.loaded !== undefined || added === null) return;
    let { first, last } = added;
    for (const job of change.jobs.values()) {
      if (job === null || job.created_at < last) return; // the clock was set back
      first ??= job.created_at;
      last = job.created_at;
    }
    for (const line of lines) added.lines.push(line);
    this.added = { lines: added.lines, first, last };
  }

  /** Notes a commit of this process that `state` has in it already. */
  noteApplied(change: Change): void {
    if (change.jobs.size > 0) this.queueChanged = true;
    if (change.dead.size > 0) this.dlqChanged = true;
    this.added = null;
  }

  get isLoaded(): boolean {
    return this.loaded !== undefined;
  }

  /** The records. @throws QueuectlError DAMAGED; SnapshotGoneError */
  get state(): QueueState {
    return this.loaded ?? this.load();
  }

  private load(): QueueState {
    const { base, paths } = this;
    if (base === null) throw new Error('a view has its base until it is loaded');
    const jobs = parseRecords(base.queue, findJobFault, isJob);
    const dead = parseRecords(base.dlq, findDeadJobFault, isDeadJob);
    const state = new QueueState(jobs, dead);
    for (const change of this.changes) state.apply(change);
    for (const { id } of state.listDead()) {
      if (state.getJob(id) !== undefined) throw damaged(paths.dlq, `the id ${JSON.stringify(id)} is in the queue too`);
    }
    this.loaded = state;
    this.base = null;
    this.changes = [];
    this.changedIds.clear();
    this.added = null;
    return state;
  }

  /** Whether an id is taken, in the queue or in the dead letter queue. */
  has(id: string): boolean {
    const { base } = this;
    if (this.loaded !== undefined || base === null) return this.state.has(id);
    if (this.isChanged(id)) return this.state.has(id);
    const [queue, dlq] = [contentOf(base.queue), contentOf(base.dlq)];
    if (queue.length <= EMPTY_FILE.length && dlq.length <= EMPTY_FILE.length) return false;
    const needle = JSON.stringify(id);
    this.bytesSearched += queue.length + dlq.length;
    const unseen = this.bytesSearched <= SEARCH_BYTES_MAX && !queue.includes(needle) && !dlq.includes(needle);
    return unseen ? false : this.state.has(id);
  }

  private isChanged(id: string): boolean {
    for (; this.changesIndexed < this.changes.length; this.changesIndexed++) {
      const { jobs, dead } = this.changes[this.changesIndexed] ?? { jobs: new Map(), dead: new Map() };
      for (const records of [jobs, dead]) for (const changed of records.keys()) this.changedIds.add(changed);
    }
    return this.changedIds.has(id);
  }

  /** What queue.json should hold. */
  queueContent(): Content {
    return this.appendedQueue() ?? contentOfRecords(this.state.listJobs());
  }

  dlqContent(): Content {
    return contentOfRecords(this.state.listDead());
  }

  /** queue.json as it was read plus the jobs added, where that is all that has happened. */
  private appendedQueue(): Content | undefined {
    const { added, base } = this;
    if (base === null || added === null || added.first === null) return undefined;
    const { identity } = base.queue;
    const content = contentOf(base.queue);
    if (identity === null || content.equals(Buffer.from(EMPTY_FILE))) {
      return withChecksum(Buffer.from(`[\n${added.lines.join(',\n')}${FILE_END}`));
    }
    const bodyEnd = content.length - FILE_END.length;
    if (!content.subarray(bodyEnd).equals(Buffer.from(FILE_END))) return undefined;
    const lastLine = content.subarray(content.lastIndexOf('\n', bodyEnd - 1) + 1, bodyEnd);
    const last: unknown = JSON.parse(lastLine.toString('utf8'));
    if (!isJob(last) || last.created_at > added.first) return undefined;
    const bytes = Buffer.concat([
      content.subarray(0, bodyEnd),
      Buffer.from(`,\n${added.lines.join(',\n')}${FILE_END}`),
    ]);
    // `added` says that the snapshot is the one that the journal names
    const known = this.journalNow?.header.queue?.crc32; // unless it is a journal of version 0.1.0's first days
    return known === undefined ? withChecksum(bytes) : withChecksum(bytes, bodyEnd, known);
  }
}

const isJob = (value: unknown): value is Job => findJobFault(value) === undefined;
const isDeadJob = (value: unknown): value is DeadJob => findDeadJobFault(value) === undefined;

const NOTHING = Buffer.alloc(0);

const unreadBase = (path: string): BaseFile => ({ path, identity: identityOf(path), content: undefined });

function readBase(path: string): BaseFile {
  const { identity, content } = readWhole(path) ?? { identity: null, content: NOTHING };
  return { path, identity, content };
}

/** @throws SnapshotGoneError */
function contentOf(file: BaseFile): Buffer {
  if (file.content !== undefined) return file.content;
  const { identity, content } = readBase(file.path);
  if (!sameIdentity(identity, file.identity)) throw new SnapshotGoneError();
  file.content = content;
  return content ?? NOTHING;
}

/** What a snapshot file of these records holds. */
export const contentOfRecords = (records: readonly object[]): Content => withChecksum(linesOf(records));

const withChecksum = (bytes: Buffer, known = 0, crc = 0): Content => ({ bytes, crc32: checksumOf(bytes, known, crc) });

/** @param crc the checksum of the first `known` bytes */
const checksumOf = (bytes: Buffer, known = 0, crc = 0): number =>
  crc32(bytes.subarray(known, bytes.length - FILE_END.length), crc);

/** Whether the file is the one that was named, restored from a backup. */
const isCopy = (file: BaseFile, named: NamedFile | null): boolean =>
  file.identity?.size === named?.size && named?.crc32 === checksumOf(contentOf(file));

/** One record per line, so that grep, diff and jq all work. */
function linesOf(records: readonly object[]): Buffer {
  if (records.length === 0) return Buffer.from(EMPTY_FILE);
  return Buffer.from(`[\n${records.map((record) => JSON.stringify(record)).join(',\n')}${FILE_END}`);
}

/** @throws QueuectlError DAMAGED, naming the element that is no record, or the id that occurs twice */
function parseRecords<T extends { readonly id: string }>(
  file: BaseFile,
  findFault: (value: unknown) => string | undefined,
  isRecord: (value: unknown) => value is T,
): T[] {
  const { path, identity } = file;
  if (identity === null) return []; // only a missing file is empty
  const values = parseJsonFile(path, contentOf(file));
  if (!Array.isArray(values)) throw damaged(path, 'it is not a JSON array');
  const records: T[] = [];
  const ids = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (!isRecord(value)) throw damaged(path, `element ${index + 1}: ${findFault(value)}`);
    if (ids.has(value.id)) throw damaged(path, `element ${index + 1}: the id ${JSON.stringify(value.id)} occurs twice`);
    ids.add(value.id);
    records.push(value);
  }
  return records;
}
