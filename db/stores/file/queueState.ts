/** The queue and the dead letter queue in memory. Holds records and their order; touches no file and knows no rule. */
import { Heap } from '../../../utils/heap.js';
import type { DeadJob, Job, JobState } from '../../model/job.js';

/** What one commit does: each id's new record, or null where it is removed. */
export interface Change {
  readonly jobs: ReadonlyMap<string, Job | null>;
  readonly dead: ReadonlyMap<string, DeadJob | null>;
}

type Waiting = Extract<Job, { state: 'pending' | 'failed' }>;

/** A job and its place among those created in the same millisecond. */
interface Entry {
  job: Job | null;
  readonly place: number;
}

/** A record in a heap: out of date once its entry holds another. */
interface Indexed {
  readonly entry: Entry;
  readonly job: Waiting;
}

const isWaiting = (job: Job): job is Waiting => job.state === 'pending' || job.state === 'failed';

const isOlder = (a: Entry & { job: Job }, b: Entry & { job: Job }) =>
  a.job.created_at - b.job.created_at || a.place - b.place;

export class QueueState {
  private readonly jobs = new Map<string, Entry>();
  private readonly dead = new Map<string, DeadJob>();
  private readonly countOf: Record<JobState, number> = { pending: 0, processing: 0, completed: 0, failed: 0 };
  private places = 0;
  private inOrder = true;
  private newest = 0;
  /** Built by the first claim; only workers need it. */
  private index: { readonly due: Heap<Indexed>; readonly later: Heap<Indexed> } | undefined;

  constructor(jobs: readonly Job[], dead: readonly DeadJob[]) {
    for (const job of jobs) this.putJob(job);
    for (const entry of dead) this.putDead(entry);
  }

  apply(change: Change): void {
    for (const [id, job] of change.jobs) job === null ? this.removeJob(id) : this.putJob(job);
    for (const [id, entry] of change.dead) entry === null ? this.dead.delete(id) : this.putDead(entry);
  }

  putJob(job: Job): void {
    let entry = this.jobs.get(job.id);
    if (entry === undefined) {
      this.places += 1;
      entry = { job, place: this.places };
      this.jobs.set(job.id, entry);
      if (job.created_at < this.newest) this.inOrder = false;
      else this.newest = job.created_at;
    } else {
      if (entry.job !== null) this.countOf[entry.job.state] -= 1;
      entry.job = job;
    }
    this.countOf[job.state] += 1;
    if (this.index !== undefined && isWaiting(job)) this.index.later.push({ entry, job });
  }

  removeJob(id: string): void {
    const entry = this.jobs.get(id);
    if (entry === undefined || entry.job === null) return;
    this.countOf[entry.job.state] -= 1;
    entry.job = null;
    this.jobs.delete(id);
  }

  putDead(entry: DeadJob): void {
    this.dead.delete(entry.id); // buried last stands last, also when a burial is replayed over a newer snapshot
    this.dead.set(entry.id, entry);
  }

  removeDead(id: string): void {
    this.dead.delete(id);
  }

  getJob(id: string): Job | undefined {
    return this.jobs.get(id)?.job ?? undefined;
  }

  getDead(id: string): DeadJob | undefined {
    return this.dead.get(id);
  }

  has(id: string): boolean {
    return this.jobs.has(id) || this.dead.has(id);
  }

  /** Oldest first. */
  listJobs(): Job[] {
    const entries: (Entry & { job: Job })[] = [];
    for (const { job, place } of this.jobs.values()) if (job !== null) entries.push({ job, place });
    if (!this.inOrder) entries.sort(isOlder);
    return entries.map((entry) => entry.job);
  }

  listDead(): DeadJob[] {
    return [...this.dead.values()];
  }

  countJobs(): Record<JobState, number> {
    return { ...this.countOf };
  }

  countDead(): number {
    return this.dead.size;
  }

  /** The job to claim next: due, of the highest priority, the oldest. */
  nextRunnable(now: number): Waiting | undefined {
    const { due, later } = this.indexed();
    for (let item = later.peek(); item !== undefined; item = later.peek()) {
      if (isCurrent(item) && item.job.run_at > now) break;
      later.pop();
      if (isCurrent(item)) due.push(item);
    }
    for (let item = due.peek(); item !== undefined; item = due.peek()) {
      if (isCurrent(item) && item.job.run_at <= now) return item.job;
      due.pop();
      if (isCurrent(item)) later.push(item); // the clock was set back
    }
    return undefined;
  }

  /** The earliest `run_at` of the jobs that wait. */
  nextRunAt(): number | undefined {
    let earliest: number | undefined;
    const { due, later } = this.indexed();
    for (const heap of [due, later]) {
      let item = heap.peek();
      while (item !== undefined && !isCurrent(item)) {
        heap.pop();
        item = heap.peek();
      }
      if (item !== undefined && (earliest === undefined || item.job.run_at < earliest)) earliest = item.job.run_at;
    }
    return earliest;
  }

  private indexed() {
    if (this.index === undefined) {
      this.index = {
        due: new Heap(isDueBefore),
        later: new Heap((a, b) => a.job.run_at < b.job.run_at),
      };
      for (const entry of this.jobs.values()) {
        if (entry.job !== null && isWaiting(entry.job)) this.index.later.push({ entry, job: entry.job });
      }
    }
    return this.index;
  }
}

const isCurrent = ({ entry, job }: Indexed) => entry.job === job;

function isDueBefore(a: Indexed, b: Indexed): boolean {
  const byPriority = (b.job.priority ?? 0) - (a.job.priority ?? 0);
  if (byPriority !== 0) return byPriority < 0;
  if (a.job.created_at !== b.job.created_at) return a.job.created_at < b.job.created_at;
  return a.entry.place < b.entry.place;
}
