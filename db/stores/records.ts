/** Jobs in memory, at hand in the orders in which a store is asked for them. Knows no rule. */
import { Heap } from '../../utils/heap.js';
import { isWaiting, type Job, type JobState, type WaitingJob } from '../model/job.js';
import type { JobQuery, Stored } from '../store.js';

/** What one commit does: each id's new record, or null where it is removed. */
export type Change = ReadonlyMap<string, Job | null>;

/** A job as it was put, never changed afterwards: so whoever holds one can tell whether it still stands. */
interface Entry extends Stored<Job> {
  /** Among those created in the same millisecond. */
  readonly place: number;
}

type WaitingEntry = Entry & { readonly record: WaitingJob };

const waits = (entry: Entry): entry is WaitingEntry => isWaiting(entry.record);

const byAge = (a: Entry, b: Entry) => a.record.created_at - b.record.created_at || a.place - b.place;

export class Records {
  /** All but the dead, as they were added; and the dead, as they were buried. */
  private readonly inQueue = new Map<string, Entry>();
  private readonly dead = new Map<string, Entry>();
  private readonly countOf = new Map<JobState, number>();
  private places = 0;
  private inOrder = true;
  private newest = 0;
  /** Built by the first claim; only workers need it. */
  private index: { readonly due: Heap<WaitingEntry>; readonly later: Heap<WaitingEntry> } | undefined;

  /** @param seq the number of the change that wrote it */
  put(job: Job, seq: number): void {
    const { id } = job;
    const before = this.get(id);
    if (before !== undefined) this.countOf.set(before.record.state, this.count(before.record.state) - 1);
    this.countOf.set(job.state, this.count(job.state) + 1);
    if (job.state === 'dead') {
      this.inQueue.delete(id);
      this.dead.delete(id); // buried last stands last, also when a burial is replayed over a newer snapshot
      this.dead.set(id, { record: job, seq, place: 0 });
      return;
    }
    this.dead.delete(id);
    let place = this.inQueue.get(id)?.place;
    if (place === undefined) {
      this.places += 1;
      place = this.places;
      if (job.created_at < this.newest) this.inOrder = false;
      else this.newest = job.created_at;
    }
    const entry: Entry = { record: job, seq, place };
    this.inQueue.set(id, entry);
    if (this.index !== undefined && waits(entry)) this.index.later.push(entry);
  }

  remove(id: string): void {
    const before = this.get(id);
    if (before === undefined) return;
    this.countOf.set(before.record.state, this.count(before.record.state) - 1);
    this.inQueue.delete(id);
    this.dead.delete(id);
  }

  apply(change: Change, seq: number): void {
    for (const [id, job] of change) job === null ? this.remove(id) : this.put(job, seq);
  }

  /** Puts back what a read gave before it was changed; undefined: there was none. */
  restore(id: string, before: Stored<Job> | undefined): void {
    this.remove(id);
    if (before === undefined) return;
    const entry = { ...(before as Entry) }; // as every job that was given out; the former one may still be in the index
    const { state } = entry.record;
    this.countOf.set(state, this.count(state) + 1);
    if (state === 'dead') {
      this.dead.set(id, entry);
      const inOrder = [...this.dead].sort(([, a], [, b]) => a.seq - b.seq);
      this.dead.clear();
      for (const [id, entry] of inOrder) this.dead.set(id, entry);
      return;
    }
    this.inQueue.set(id, entry);
    this.inOrder = false;
    if (this.index !== undefined && waits(entry)) this.index.later.push(entry);
  }

  get(id: string): Stored<Job> | undefined {
    return this.inQueue.get(id) ?? this.dead.get(id);
  }

  /** All that are asked for. Those who were changed last in one commit stand as they were added, or buried. */
  find({ states, order = 'created', limit }: JobQuery): Stored<Job>[] {
    const wanted = ({ record }: Entry) => states === undefined || states.includes(record.state);
    const found: Entry[] = [];
    const isNoneDead = states !== undefined && !states.includes('dead');
    const areAllDead = states?.every((state) => state === 'dead') ?? false;
    if (!areAllDead) for (const entry of this.inQueue.values()) if (wanted(entry)) found.push(entry);
    if (!isNoneDead) for (const entry of this.dead.values()) if (wanted(entry)) found.push(entry);
    if (order === 'changed') found.sort((a, b) => a.seq - b.seq);
    else if (!isNoneDead || !this.inOrder) found.sort(byAge);
    return limit === undefined ? found : found.slice(0, limit);
  }

  /** The jobs of the queue, the oldest first. */
  listQueue(): Job[] {
    const entries = [...this.inQueue.values()];
    if (!this.inOrder) entries.sort(byAge);
    return entries.map(({ record }) => record);
  }

  /** The dead jobs, in the order they were buried. */
  listDead(): Job[] {
    return Array.from(this.dead.values(), ({ record }) => record);
  }

  count(state: JobState): number {
    return this.countOf.get(state) ?? 0;
  }

  counts(): ReadonlyMap<JobState, number> {
    return new Map(this.countOf);
  }

  /** The jobs to claim next: due, the highest priority first, then the oldest. */
  runnable(now: number, limit: number): WaitingEntry[] {
    const { due, later } = this.indexed();
    for (let entry = later.peek(); entry !== undefined; entry = later.peek()) {
      const isCurrent = this.isCurrent(entry);
      if (isCurrent && entry.record.run_at > now) break;
      later.pop();
      if (isCurrent) due.push(entry);
    }
    const found: WaitingEntry[] = [];
    for (let entry = due.peek(); entry !== undefined && found.length < limit; entry = due.peek()) {
      due.pop();
      if (!this.isCurrent(entry)) continue;
      if (entry.record.run_at <= now) found.push(entry);
      else later.push(entry); // the clock was set back
    }
    for (const entry of found) due.push(entry);
    return found;
  }

  /** The earliest `run_at` of the jobs that wait; one of those that were due already, if there are any. */
  nextRunAt(): number | undefined {
    let earliest: number | undefined;
    const { due, later } = this.indexed();
    for (const heap of [due, later]) {
      let entry = heap.peek();
      while (entry !== undefined && !this.isCurrent(entry)) {
        heap.pop();
        entry = heap.peek();
      }
      if (entry !== undefined && (earliest === undefined || entry.record.run_at < earliest)) {
        earliest = entry.record.run_at;
      }
    }
    return earliest;
  }

  private isCurrent(entry: WaitingEntry): boolean {
    return this.inQueue.get(entry.record.id) === entry;
  }

  private indexed() {
    if (this.index === undefined) {
      this.index = {
        due: new Heap(isDueBefore),
        later: new Heap((a, b) => a.record.run_at < b.record.run_at),
      };
      for (const entry of this.inQueue.values()) if (waits(entry)) this.index.later.push(entry);
    }
    return this.index;
  }
}

function isDueBefore(a: WaitingEntry, b: WaitingEntry): boolean {
  const byPriority = (b.record.priority ?? 0) - (a.record.priority ?? 0);
  return byPriority === 0 ? byAge(a, b) < 0 : byPriority < 0;
}
