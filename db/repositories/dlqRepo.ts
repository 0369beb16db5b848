/** The verbs of the dead letter queue, written once for every kind of store. */
import { type DeadEntry, deadEntryOf } from '../model/deadEntry.js';
import { buried, type Claim, type PendingJob, revived } from '../model/job.js';
import type { Access } from './access.js';
import { replaced, settle } from './jobRepo.js';

export class DlqRepo {
  constructor(private readonly access: Access) {}

  /** Buries a claimed job. @returns false, and changes nothing, when the claim does not hold the job any more */
  moveToDLQ(claim: Claim, error: string, now: number): Promise<boolean> {
    return settle(this.access, claim, (job) => buried(job, error, now));
  }

  /**
   * Brings a dead job back to the queue with `attempts = 0`, to run at once. On disk before it returns.
   *
   * @returns undefined when no dead job has this id
   */
  retryFromDLQ(id: string, now: number): Promise<PendingJob | undefined> {
    return this.access.write(async (transaction) => {
      const found = await transaction.get('jobs', id);
      if (found?.record.state !== 'dead') return undefined;
      const job = revived(found.record, now);
      return (await replaced(transaction, found, job)) ? job : undefined;
    }, 'on disk');
  }

  /** The dead jobs, in the order they were buried. */
  listDLQ(): Promise<DeadEntry[]> {
    return this.access.read(async (reader) => {
      const found = await reader.jobs({ states: ['dead'], order: 'changed' });
      return found.flatMap(({ record }) => (record.state === 'dead' ? [deadEntryOf(record)] : []));
    });
  }
}
