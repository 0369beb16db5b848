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
import { damaged, identityOf, sameIdentity } from '../../../utils/files.js';
import { lengthOf, type Pieces } from '../../../utils/pieces.js';
import type { Job } from '../../model/job.js';
import { type Change, Records } from '../records.js';
import { type Commit, Journal } from './journal.js';
import type { StorePaths } from './paths.js';
import {
  type BaseFile,
  type Content,
  contentBehind,
  contentOf,
  contentOfJobs,
  EMPTY_FILE,
  isCopy,
  parseJobs,
  readBase,
  unreadBase,
} from './snapshot.js';
import { type PerFile, perFile, SNAPSHOT_FILES, type SnapshotFile, type SnapshotName } from './snapshotFiles.js';

/** Jobs added behind a base, the oldest first, as JSON. */
interface Added {
  readonly lines: string[];
  /** When the first of them was created, and the last. */
  readonly first: number | null;
  readonly last: number;
}

/** Searching for more new ids than this, or more bytes, takes longer than parsing the records. */
const SEARCHES_MAX = 8;
const SEARCH_BYTES_MAX = 200_000_000;

export class View {
  /** Null until the first fold makes one. */
  private journalNow: Journal | null;
  private identities: PerFile<BaseFile['identity']>;
  /** The files whose records differ from the snapshot, so that a fold must write them. */
  private readonly changedFiles = new Set<SnapshotName>();
  /** The snapshot is not the one the journal names: somebody edited it at rest, and it is taken as it is. */
  private edited = false;
  /** The snapshot is not the one that the sealed journal names: it may have jobs that the journal has not. */
  private isAhead = false;

  private base: PerFile<BaseFile> | null;
  private commits: Pick<Commit, 'change' | 'seq'>[] = [];
  /** The ids in the first `commitsIndexed` of `commits`. */
  private readonly changedIds = new Set<string>();
  private commitsIndexed = 0;
  private loaded: Records | undefined;
  /** The jobs this process has added behind the base, as JSON; null once anything else has changed. */
  private added: Added | null = { lines: [], first: null, last: 0 };
  private searches = 0;
  private bytesSearched = 0;

  private constructor(
    private readonly paths: StorePaths,
    journal: Journal | null,
    base: PerFile<BaseFile>,
  ) {
    this.journalNow = journal;
    this.base = base;
    this.identities = perFile(({ name }) => base[name].identity);
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
        const view = new View(
          paths,
          journal,
          perFile((file) => baseOf(file, paths[file.name])),
        );
        journal?.readNews((commit) => view.note(commit));
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
      journal.readNews((commit) => this.note(commit));
      if (!journal.isCurrent()) {
        journal.readNews((commit) => this.note(commit)); // up to the seal, which was there before it was replaced
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
    this.identities = perFile(({ name }) => journal.header[name]);
    this.changedFiles.clear();
    this.edited = false;
    this.isAhead = false;
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

  /** Whether the snapshot may have what neither the one that the journal names nor the journal has. */
  get isSnapshotAnother(): boolean {
    return this.edited || this.isAhead;
  }

  /** Whether a fold must write this file. */
  isChangedIn({ name }: SnapshotFile): boolean {
    return this.changedFiles.has(name);
  }

  private snapshotStands(): boolean {
    return SNAPSHOT_FILES.every(({ name }) => sameIdentity(identityOf(this.paths[name]), this.identities[name]));
  }

  /** Holds the snapshot that was read against the one the journal names. */
  private checkSnapshot(): void {
    const { base, journal } = this;
    if (base === null) return;
    for (const { name } of SNAPSHOT_FILES) {
      const found = base[name];
      const named = journal?.header[name] ?? null;
      if (journal !== null && sameIdentity(found.identity, named)) continue;
      for (const file of SNAPSHOT_FILES) this.changedFiles.add(file.name); // the next journal names those that are there
      this.added = null;
      if (isCopy(found, named)) continue;
      if (journal !== null && journal.commits > 0 && !journal.sealed) {
        const what = found.identity === null ? 'it is gone, and was' : 'it is not';
        throw damaged(found.path, `${what} the file that ${this.paths.journal} continues`);
      }
      // Behind a seal it is the next snapshot, of a fold that was cut short: what the journal has is in it.
      if (journal?.sealed) this.isAhead = true;
      else this.edited = true;
    }
    if (this.edited) this.load();
  }

  private note({ change, files, seq }: Pick<Commit, 'change' | 'files' | 'seq'>): void {
    for (const name of files) this.changedFiles.add(name);
    this.added = null;
    if (this.loaded === undefined) this.commits.push({ change, seq });
    else this.loaded.apply(change, seq);
  }

  /** Notes a commit of this process that only added jobs; `lines` are those jobs as JSON. */
  noteAdded(commit: Pick<Commit, 'change' | 'files' | 'seq'>, lines: readonly string[]): void {
    const { added } = this;
    this.note(commit);
    if (this.loaded !== undefined || added === null) return;
    let { first, last } = added;
    for (const job of commit.change.values()) {
      if (job === null || job.created_at < last) return; // the clock was set back
      first ??= job.created_at;
      last = job.created_at;
    }
    for (const line of lines) added.lines.push(line);
    this.added = { lines: added.lines, first, last };
  }

  /** Notes a commit of this process that the records have in them already. */
  noteApplied(files: Iterable<SnapshotName>): void {
    for (const name of files) this.changedFiles.add(name);
    this.added = null;
  }

  get isLoaded(): boolean {
    return this.loaded !== undefined;
  }

  /**
   * Reads the snapshot, unless that is done, and leaves it unparsed.
   *
   * @param onProgress called now and then
   * @throws QueuectlError STORAGE; SnapshotGoneError
   */
  readSnapshot(onProgress: () => void): void {
    if (this.base !== null) for (const { name } of SNAPSHOT_FILES) contentOf(this.base[name], onProgress);
  }

  /** The records. @throws QueuectlError DAMAGED; SnapshotGoneError */
  get records(): Records {
    return this.load();
  }

  /** The same, for who holds the lock. @param onProgress called now and then */
  load(onProgress: () => void = () => {}): Records {
    const { base, loaded } = this;
    if (loaded !== undefined) return loaded;
    if (base === null) throw new Error('a view has its base until it is loaded');
    const records = new Records();
    const seq = (this.journalNow?.header.first ?? 1) - 1;
    const changed = new Set(this.commits.flatMap(({ change }) => [...change.keys()]));
    for (const { name } of SNAPSHOT_FILES) {
      for (const job of parseJobs(base[name], onProgress)) {
        if (records.get(job.id) === undefined) records.put(job, seq);
        // Between the renames of a fold a job may stand in two files; what the journal says of it counts.
        else if (!changed.has(job.id)) {
          throw damaged(base[name].path, `the id ${JSON.stringify(job.id)} is in the queue too`);
        }
      }
    }
    for (const { change, seq } of this.commits) records.apply(change, seq);
    this.loaded = records;
    this.base = null;
    this.commits = [];
    this.changedIds.clear();
    this.added = null;
    return records;
  }

  /** Whether an id is taken, by a job in the queue or by a dead one. @param onProgress called now and then */
  has(id: string, onProgress: () => void): boolean {
    const { base } = this;
    const isKnown = () => this.load(onProgress).get(id) !== undefined;
    if (this.loaded !== undefined || base === null || this.isChanged(id)) return isKnown();
    const contents = SNAPSHOT_FILES.map(({ name }) => contentOf(base[name], onProgress));
    if (contents.every((content) => lengthOf(content) <= EMPTY_FILE.length)) return false;
    const needle = JSON.stringify(id);
    for (const content of contents) this.bytesSearched += lengthOf(content);
    this.searches += 1;
    const isIn = (content: Pieces) =>
      content.some((piece) => {
        onProgress();
        return piece.includes(needle);
      });
    const isCheap = this.searches <= SEARCHES_MAX || this.bytesSearched <= SEARCH_BYTES_MAX;
    const isUnseen = isCheap && !contents.some(isIn);
    return isUnseen ? false : isKnown();
  }

  private isChanged(id: string): boolean {
    for (; this.commitsIndexed < this.commits.length; this.commitsIndexed++) {
      const { change }: { change: Change } = this.commits[this.commitsIndexed] ?? { change: new Map() };
      for (const changed of change.keys()) this.changedIds.add(changed);
    }
    return this.changedIds.has(id);
  }

  /** What a file of the snapshot should hold. @param onProgress called now and then */
  contentFor(file: SnapshotFile, onProgress: () => void): Content {
    return this.appended(file, onProgress) ?? contentOfJobs(file, this.jobsIn(file), onProgress);
  }

  private jobsIn({ name }: SnapshotFile): Job[] {
    return name === 'queue' ? this.records.listQueue() : this.records.listDead();
  }

  /** The file as it was read plus the jobs added, where that is all that has happened. */
  private appended({ name }: SnapshotFile, onProgress: () => void): Content | undefined {
    const { added, base } = this;
    if (name !== 'queue' || base === null || added === null || added.first === null) return undefined;
    // `added` says that the snapshot is the one that the journal names
    const known = this.journalNow?.header.queue?.crc32; // unless it is a journal of version 0.1.0's first days
    return contentBehind(base.queue, { lines: added.lines, oldest: added.first, known }, onProgress);
  }
}
