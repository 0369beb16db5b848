/** The changes of one transaction while it is made. Records are read through it, so later verbs see earlier ones. */
import { QueuectlError } from '../../utils/errors.js';
import { type DeadJob, type Job, quote } from '../schema.js';
import type { Change, QueueState } from './queueState.js';
import type { View } from './view.js';

export class Draft {
  private readonly jobs = new Map<string, Job | null>();
  private readonly dead = new Map<string, DeadJob | null>();
  /** Set as long as all it does is adding jobs, which needs no records in memory. */
  private readonly addedLines: string[] = [];
  private onlyAdds = true;
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

  /** @throws QueuectlError DUPLICATE_ID */
  addJob(job: Job): void {
    const isTaken = this.jobs.get(job.id) || this.view.has(job.id);
    const state = this.view.isLoaded ? this.state : undefined; // it may be the search that loaded them
    if (isTaken) throw new QueuectlError('DUPLICATE_ID', `the id ${quote(job.id)} is taken`, 'Choose another id.');
    state?.putJob(job);
    this.jobs.set(job.id, job);
    this.addedLines.push(JSON.stringify(job));
  }

  putJob(job: Job): void {
    this.state.putJob(job);
    this.jobs.set(job.id, job);
    this.onlyAdds = false;
  }

  removeJob(id: string): void {
    this.state.removeJob(id);
    this.jobs.set(id, null);
    this.onlyAdds = false;
  }

  putDead(entry: DeadJob): void {
    this.state.putDead(entry);
    this.dead.set(entry.id, entry);
    this.onlyAdds = false;
  }

  removeDead(id: string): void {
    this.state.removeDead(id);
    this.dead.set(id, null);
    this.onlyAdds = false;
  }

  get isEmpty(): boolean {
    return this.jobs.size === 0 && this.dead.size === 0;
  }

  /** Appends all of it as one line and tells the view. @returns false when it must be done over on a fresh view */
  commit(): 'done' | 'done, view outdated' | 'void' {
    const { journal } = this.view;
    if (journal === null) throw new Error('a fold makes the journal before anything is committed');
    const members = this.onlyAdds
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
