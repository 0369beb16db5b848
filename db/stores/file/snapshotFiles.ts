/** The files that make up a snapshot, and what each holds: the one place that tells how a record stands in a file. */
import { type DeadEntry, deadEntryOf, deadJobOf, findDeadEntryFault } from '../../model/deadEntry.js';
import { findJobFault, type Job, QUEUE_STATES } from '../../model/job.js';
import { isFields } from '../../model/rules.js';

/** Its name in the journal, too. */
export type SnapshotName = 'queue' | 'dlq';

export interface SnapshotFile {
  readonly name: SnapshotName;
  /** Whether a job in this state stands in this file. */
  holds(job: Job): boolean;
  /** The job as it stands in the file. */
  toRow(job: Job): object;
  /** @returns the job, or what is wrong with the row */
  fromRow(row: unknown): Job | string;
}

const queue: SnapshotFile = {
  name: 'queue',
  holds: (job) => job.state !== 'dead',
  toRow: (job) => job,
  fromRow(row) {
    if (isFields(row) && row.state === 'dead') return `"state" must be one of ${QUEUE_STATES.join(', ')}`;
    return findJobFault(row) ?? (row as Job); // findJobFault has checked it
  },
};

const dlq: SnapshotFile = {
  name: 'dlq',
  holds: (job) => job.state === 'dead',
  toRow: (job) => (job.state === 'dead' ? deadEntryOf(job) : job),
  fromRow: (row) => findDeadEntryFault(row) ?? deadJobOf(row as DeadEntry), // findDeadEntryFault has checked it
};

/** In the order in which a fold puts them into place. */
export const SNAPSHOT_FILES: readonly SnapshotFile[] = [queue, dlq];

/** The file in which a job stands. */
export const fileOf = (job: Job): SnapshotFile => (queue.holds(job) ? queue : dlq);

/** Something for each file. */
export type PerFile<T> = Readonly<Record<SnapshotName, T>>;

export const perFile = <T>(make: (file: SnapshotFile) => T): PerFile<T> => ({ queue: make(queue), dlq: make(dlq) });
