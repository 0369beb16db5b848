/** The changes of one transaction while it is made. Records are read through it, so later verbs see earlier ones. */
import { QueuectlError } from '../../../utils/errors.js';
import { quote } from '../../../utils/text.js';
import type { DeadJob, Job } from '../../model/job.js';
import type { Change, QueueState } from './queueState.js';
import type { View } from './view.js';

export class Draft {
  private readonly jobs = new Map<string, Job | null>();
  private readonly dead = new Map<string, DeadJob | null>();
  /** Set as long as all it does is adding jobs, which needs no records in memory. */
  private readonly addedLines: string[] = [];
  private adds = true;
  /** The job stringified last, and its JSON from behind the command on. */
  private model: Job | undefined;
  private modelEnd = '';
  private inState = false;
  /** Whether it must be on disk before it is acknowledged. */
  durable = false;

  constructor(private readonly view: View) {}

  /** The records as this transaction has left them so far. */
  get state(): QueueState {
    const { state } = this.view;
    if (!this.inState) {
      for (const job of this.jobs.values()) if (job !== null) state.putJob(job); // added before they were loaded
      this.inState = true;
    }
    return state;
  }

  /**
   * @param hasNewId the id was made just now, so that nobody can have it
   * @throws QueuectlError DUPLICATE_ID
   */
  addJob(job: Job, hasNewId: boolean): void {
    const isTaken = !hasNewId && (this.jobs.get(job.id) || this.view.has(job.id));
    const state = this.view.isLoaded ? this.state : undefined; // it may be the search that loaded them
    if (isTaken) throw new QueuectlError('DUPLICATE_ID', `the id ${quote(job.id)} is taken`, 'Choose another id.');
    state?.putJob(job);
    this.jobs.set(job.id, job);
    this.addedLines.push(this.stringify(job));
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

  putJob(job: Job): void {
    this.state.putJob(job);
    this.jobs.set(job.id, job);
    this.adds = false;
  }

  removeJob(id: string): void {
    this.state.removeJob(id);
    this.jobs.set(id, null);
    this.adds = false;
  }

  putDead(entry: DeadJob): void {
    this.state.putDead(entry);
    this.dead.set(entry.id, entry);
    this.adds = false;
  }

  removeDead(id: string): void {
    this.state.removeDead(id);
    this.dead.set(id, null);
    this.adds = false;
  }

  /** Whether all of it is added jobs, and no records were needed for that. */
  get onlyAdds(): boolean {
    return this.adds && !this.view.isLoaded;
  }

  get isEmpty(): boolean {
    return this.jobs.size === 0 && this.dead.size === 0;
  }

  /** Appends all of it as one line and tells the view. @returns false when it must be done over on a fresh view */
  commit(): 'done' | 'done, view outdated' | 'void' {
    const { journal } = this.view;
    if (journal === null) throw new Error('a fold makes the journal before anything is committed');
    const members = this.adds
      ? `"queue":{"put":[${this.addedLines.join(',')}]}`
      : [...membersOf('queue', this.jobs), ...membersOf('dlq', this.dead)].join(',');
    const landing = journal.append(members, this.durable);
    if (landing === 'void') return 'void';
    if (landing === 'among others') return 'done, view outdated';
    const change: Change = { jobs: this.jobs, dead: this.dead };
    if (this.view.isLoaded) this.view.noteApplied(change);
    else this.view.noteAdded(change, this.addedLines);
    return 'done';
  }

  /** Tells the view of jobs that are added and not committed yet. */
  noteAdded(): void {
    this.view.noteAdded({ jobs: this.jobs, dead: this.dead }, this.addedLines);
  }
}

/** Whether two jobs have the same fields, and but for these two the same values. */
function differInIdAndCommand(a: Job, b: Job): boolean {
  const fields = Object.keys(a) as (keyof Job)[]; // of a Job's own fields, and of those a newer version may add
  return (
    fields.length === Object.keys(b).length &&
    fields.every((field) => field === 'id' || field === 'command' || a[field] === b[field])
  );
}

function membersOf(file: 'queue' | 'dlq', records: ReadonlyMap<string, object | null>): string[] {
  if (records.size === 0) return [];
  const put: string[] = [];
  const del: string[] = [];
  for (const [id, record] of records) {
    if (record === null) del.push(JSON.stringify(id));
    else put.push(JSON.stringify(record));
  }
  const parts = [
    ...(put.length > 0 ? [`"put":[${put.join(',')}]`] : []),
    ...(del.length > 0 ? [`"del":[${del.join(',')}]`] : []),
  ];
  return [`"${file}":{${parts.join(',')}}`];
}
