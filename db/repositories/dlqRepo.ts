import type { DeadJob, PendingJob } from '../model/job.js';
import type { Claim, DlqRepo } from '../store.js';
import type { Access } from './access.js';
import { ownedJob } from './jobRepo.js';

export class FileDlqRepo implements DlqRepo {
  constructor(private readonly access: Access) {}

  moveToDLQ(claim: Claim, error: string, now: number): Promise<boolean> {
    return this.access.write((draft) => {
      const job = ownedJob(draft, claim);
      if (job === undefined) return false;
      // What only makes sense in the queue goes; every other field, known to this version or not, stays for a retry.
      const { id, command, attempts, max_retries, state, run_at, updated_at, ...rest } = job;
      const { processing_started_at, worker_id, last_error, ...kept } = rest;
      const known = { id, command, attempts, max_retries, error, failed_at: now };
      draft.removeJob(id);
      draft.putDead({ ...known, ...kept, ...known }); // in this order, and an unknown field of such a name yields
      return true;
    });
  }

  retryFromDLQ(id: string, now: number): Promise<PendingJob | undefined> {
    return this.access.write((draft) => {
      const entry = draft.state.getDead(id);
      if (entry === undefined) return undefined;
      const { id: _, command, max_retries, error, created_at, attempts, failed_at, ...rest } = entry;
      const known = {
        id,
        command,
        state: 'pending',
        attempts: 0,
        max_retries,
        run_at: now,
        created_at,
        updated_at: now,
        processing_started_at: null,
        worker_id: null,
        last_error: error,
      } as const;
      const job: PendingJob = { ...known, ...rest, ...known };
      draft.removeDead(id);
      draft.putJob(job);
      draft.durable = true;
      return job;
    });
  }

  getDead(id: string): Promise<DeadJob | undefined> {
    return this.access.read((state) => state.getDead(id));
  }

  listDLQ(): Promise<DeadJob[]> {
    return this.access.read((state) => state.listDead());
  }

  countDLQ(): Promise<number> {
    return this.access.read((state) => state.countDead());
  }
}
