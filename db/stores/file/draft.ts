/** The changes of one transaction while it is made. Records are read through it, so later verbs see earlier ones. */
import { QueuectlError } from '../../../utils/errors.js';
import type { Job, JobState, WaitingJob } from '../../model/job.js';
import type { JobQuery, Reader, Stored, Table, Tables, Transaction, Write } from '../../store.js';
import type { Records } from '../records.js';
import { fileOf, type PerFile, perFile, SNAPSHOT_FILES, type SnapshotName } from './snapshotFiles.js';
import type { View } from './view.js';

/** Reads records, as they are whenever it is asked. */
export class RecordReader implements Reader {
  constructor(protected readonly view: View) {}

  protected get records(): Records {
    return this.view.records;
  }

  async get<T extends Table>(_table: T, id: string): Promise<Stored<Tables[T]> | undefined> {
    return this.records.get(id);
  }

  async jobs(query: JobQuery): Promise<Stored<Job>[]> {
    return this.records.find(query);
  }

  async count(): Promise<ReadonlyMap<JobState, number>> {
    return this.records.counts();
  }

  async runnable({ now, limit }: { now: number; limit: number }): Promise<Stored<WaitingJob>[]> {
    return this.records.runnable(now, limit);
  }

  async nextRunAt(): Promise<number | undefined> {
    return this.records.nextRunAt();
  }
}

/** The rows that a commit puts into one file, as JSON, and the ids of those that go. */
interface Part {
  readonly put: Map<string, string>;
  readonly del: Set<string>;
}

/** After so many writes it tells of its progress. */
const WRITES_A_STEP = 1000;

export class Draft extends RecordReader implements Transaction {
  private readonly change = new Map<string, Job | null>();
  private readonly parts: PerFile<Part> = perFile(() => ({ put: new Map(), del: new Set() }));
  /** As long as all it does is adding jobs, which needs no records in memory: those jobs as JSON, in the order of `change`. */
  private added: string[] | null = [];
  /** The job stringified last, and its JSON from behind the command on. */
  private model: Job | undefined;
  private modelEnd = '';
  private inRecords = false;
  /** The number that its commit will have. */
  private readonly seq: number;
  private written = 0;

  /** @param onProgress called now and then while much is read or written */
  constructor(
    view: View,
    private readonly onProgress: () => void,
  ) {
    super(view);
    this.seq = view.journal?.nextSeq ?? 0;
  }

  /** The records as this transaction has left them so far. */
  protected override get records(): Records {
    const records = this.view.load(this.onProgress);
    if (!this.inRecords) {
      records.apply(this.change, this.seq); // added before they were loaded
      this.inRecords = true;
    }
    return records;
  }

  async write<T extends Table>(_table: T, writes: readonly Write<Tables[T]>[]): Promise<readonly string[]> {
    const stale = this.findStale(writes);
    if (stale.length > 0) return stale;
    for (const { id, before, after } of writes) {
      this.written += 1;
      if (this.written % WRITES_A_STEP === 0) this.onProgress();
      if (before === null && after === null) continue; // there was none, and there is to be none
      if (before === null && after !== null && after.state !== 'dead') this.add(after);
      else if (after === null) this.remove(id, before);
      else this.put(before, after);
    }
    return stale;
  }

  private findStale(writes: readonly Write<Job>[]): string[] {
    const stale: string[] = [];
    const seen = new Set<string>();
    for (const { id, before, isNew = false } of writes) {
      const isTaken = before === null ? this.isTaken(id, isNew) : this.records.get(id) !== before;
      if (isTaken || seen.has(id)) stale.push(id);
      if (writes.length > 1 && !isNew) seen.add(id);
    }
    return stale;
  }

  private isTaken(id: string, isNew: boolean): boolean {
    const own = this.change.get(id);
    return own === undefined ? !isNew && this.view.has(id, this.onProgress) : own !== null;
  }

  private add(job: Job): void {
    if (this.added === null) {
      this.put(null, job);
      return;
    }
    if (this.inRecords || this.view.isLoaded) this.records.put(job, this.seq);
    this.change.set(job.id, job);
    this.added.push(this.stringify(job));
  }

  private put(before: Stored<Job> | null, job: Job): void {
    this.settleAdded();
    this.records.put(job, this.seq);
    this.change.set(job.id, job);
    const file = fileOf(job);
    const part = this.parts[file.name];
    part.put.set(job.id, JSON.stringify(file.toRow(job)));
    part.del.delete(job.id);
    if (before !== null && fileOf(before.record) !== file) this.takeFrom(before.record);
  }

  private remove(id: string, before: Stored<Job> | null): void {
    this.settleAdded();
    this.records.remove(id);
    this.change.set(id, null);
    if (before !== null) this.takeFrom(before.record);
  }

  /** From now on it does more than adding jobs. */
  private settleAdded(): void {
    if (this.added === null) return;
    const ids = this.change.keys();
    for (const line of this.added) this.parts.queue.put.set(ids.next().value ?? '', line);
    this.added = null;
  }

  private takeFrom(job: Job): void {
    const { put, del } = this.parts[fileOf(job).name];
    put.delete(job.id);
    del.add(job.id);
  }

  /** JSON.stringify, three times as fast for jobs that are added together: they differ in id and command only. */
  private stringify(job: Job): string {
    if (this.model === undefined || !differInIdAndCommand(job, this.model)) {
      const { id: _id, command: _command, ...rest } = job;
      this.model = job;
      this.modelEnd = JSON.stringify(rest).slice(1);
    }
    return `{"id":${JSON.stringify(job.id)},"command":${JSON.stringify(job.command)},${this.modelEnd}`;
  }

  get isEmpty(): boolean {
    return this.change.size === 0;
  }

  /**
   * Appends all of it as one line and tells the view.
   *
   * @param durable whether it must be on disk before this returns
   * @returns `void` when it must be done over on a fresh view
   */
  commit(durable: boolean): 'done' | 'done, view outdated' | 'void' {
    const { journal } = this.view;
    if (journal === null) throw new Error('a fold makes the journal before anything is committed');
    const { files, members } = this.line();
    const landing = journal.append(members, durable);
    if (landing === 'void') return 'void';
    if (landing === 'among others') return 'done, view outdated';
    this.tellView(files);
    return 'done';
  }

  /** Whether all it does is adding jobs. */
  get onlyAdds(): boolean {
    return this.added !== null;
  }

  /** Tells the view of jobs that only add, though no journal has them: whoever folds it commits them. */
  tellViewOfAdded(): void {
    this.tellView(['queue']);
  }

  private tellView(files: readonly SnapshotName[]): void {
    if (this.view.isLoaded) {
      this.records; // which may have been loaded after the first jobs were added
      this.view.noteApplied(files);
    } else this.view.noteAdded({ change: this.change, files, seq: this.seq }, this.added ?? []);
  }

  /** What the line of the journal holds, and which files it changes. @throws QueuectlError INVALID: it would be too long */
  private line(): { files: SnapshotName[]; members: string } {
    if (this.added !== null) {
      checkLength(this.added);
      return { files: ['queue'], members: `"queue":{"put":[${this.added.join(',')}]}` };
    }
    const files = SNAPSHOT_FILES.map(({ name }) => name).filter((name) => !isEmptyPart(this.parts[name]));
    checkLength(files.flatMap((name) => [...this.parts[name].put.values(), ...this.parts[name].del]));
    return { files, members: files.map((name) => `"${name}":{${membersOf(this.parts[name])}}`).join(',') };
  }
}

/** A line of the journal is read as one string, which V8 does not make longer than some 537 million characters. */
const LINE_BYTES_MAX = 500_000_000;
/** What a character of a string takes at most in UTF-8. */
const BYTES_A_CHARACTER = 3;

/** @throws QueuectlError INVALID */
function checkLength(rows: readonly string[]): void {
  let characters = 0;
  for (const row of rows) characters += row.length + 1;
  if (characters * BYTES_A_CHARACTER <= LINE_BYTES_MAX) return;
  let bytes = characters;
  for (const row of rows) bytes += Buffer.byteLength(row) - row.length;
  if (bytes <= LINE_BYTES_MAX) return;
  const [much, most] = [bytes, LINE_BYTES_MAX].map((each) => Math.round(each / 1e6));
  const fact = `${much} MB are too much for one transaction beside workers, which takes ${most} MB at most`;
  throw new QueuectlError('INVALID', fact, 'Nothing was changed. Do it in smaller parts.');
}

const isEmptyPart = ({ put, del }: Part) => put.size + del.size === 0;

function membersOf({ put, del }: Part): string {
  const members: string[] = [];
  if (put.size > 0) members.push(`"put":[${[...put.values()].join(',')}]`);
  if (del.size > 0) members.push(`"del":[${Array.from(del, (id) => JSON.stringify(id)).join(',')}]`);
  return members.join(',');
}

/** Whether two jobs have the same fields, and but for these two the same values. */
function differInIdAndCommand(a: Job, b: Job): boolean {
  const fields = Object.keys(a) as (keyof Job)[]; // of a Job's own fields, and of those a newer version may add
  return (
    fields.length === Object.keys(b).length &&
    fields.every((field) => field === 'id' || field === 'command' || a[field] === b[field])
  );
}
