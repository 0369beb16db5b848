/** Records for tests: valid, with something sensible for whatever a test does not care about. */
import type { DeadEntry } from '../../db/model/deadEntry.js';
import type { PendingJob, ProcessingJob } from '../../db/model/job.js';

/** When the records of tests come into being; milliseconds. */
export const T0 = 1_700_000_000_000;

let made = 0;

export function pendingJob(fields: Partial<PendingJob> = {}): PendingJob {
  made += 1;
  return {
    id: `job-${made}`,
    command: 'true',
    state: 'pending',
    attempts: 0,
    max_retries: 3,
    run_at: T0,
    created_at: T0,
    updated_at: T0,
    processing_started_at: null,
    worker_id: null,
    last_error: null,
    ...fields,
  };
}

/** A job as worker `w1` claimed it for its first attempt. */
export function processingJob(fields: Partial<ProcessingJob> = {}): ProcessingJob {
  return {
    ...pendingJob(),
    state: 'processing',
    attempts: 1,
    processing_started_at: T0,
    worker_id: 'w1',
    ...fields,
  };
}

export function deadEntry(fields: Partial<DeadEntry> = {}): DeadEntry {
  made += 1;
  return {
    id: `job-${made}`,
    command: 'false',
    attempts: 4,
    max_retries: 3,
    error: 'exit code 1',
    failed_at: T0,
    created_at: T0,
    ...fields,
  };
}
