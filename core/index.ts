/** The library: a queue for programs (`import { openQueue } from 'queuectl'`). */

import { resolve } from 'node:path';
import type { JobInput } from '../db/model/input.js';
import type { PendingJob } from '../db/model/job.js';
import { JOB_STATES, type Job, type JobState } from '../db/model/job.js';
import { QueuectlError } from '../utils/errors.js';
import { quote } from '../utils/text.js';
import { openCore } from './open.js';

/** A queue as a program uses it. Workers are started from the command line. */
export interface Queue {
  /**
   * Adds a job; it is on disk when the promise resolves.
   * @throws QueuectlError INVALID: a field breaks a rule, or the command is too long to run; DUPLICATE_ID: the id is taken
   */
  enqueue(job: JobInput): Promise<PendingJob>;
  /** The job with this id, dead or alive; undefined when there is none. */
  get(id: string): Promise<Job | undefined>;
  /** The jobs, oldest first: all that are not dead, or those in one state. */
  list(state?: JobState): Promise<Job[]>;
  counts(): Promise<Record<JobState, number>>;
  /** Call it when done; it brings the files up to date when no worker is there to do it. */
  close(): Promise<void>;
}

/**
 * Opens a queue.
 *
 * @param options.dataDir the data directory, as given to `queuectl --data-dir`
 * @throws QueuectlError INVALID: no directory is given
 */
export function openQueue({ dataDir }: { readonly dataDir: string }): Queue {
  if (typeof dataDir !== 'string' || dataDir === '') {
    throw new QueuectlError('INVALID', 'openQueue needs a data directory', 'Give { dataDir }.');
  }
  let failure: QueuectlError | undefined;
  const { queue, close } = openCore({ kind: 'file', dir: resolve(dataDir) }, (warning) => {
    failure = warning;
  });
  return {
    enqueue: (job) => queue.enqueue(job),
    get: (id) => queue.get(id),
    list: async (state) => {
      if (state === undefined || JOB_STATES.includes(state)) return queue.list(state);
      throw new QueuectlError('INVALID', `unknown state ${quote(state)}`, `There are: ${JOB_STATES.join(', ')}.`);
    },
    counts: () => queue.counts(),
    close: async () => {
      await close();
      if (failure !== undefined) throw failure;
    },
  };
}

export type { JobInput } from '../db/model/input.js';
export type { CompletedJob, DeadJob, FailedJob, Job, JobState, PendingJob, ProcessingJob } from '../db/model/job.js';
export type { ErrorCode, ErrorData } from '../utils/errors.js';
export { QueuectlError };
