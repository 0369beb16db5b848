/** The library: a queue for programs (`import { openQueue } from 'queuectl'`). */

import { fileURLToPath } from 'node:url';
import type { StoreAddress } from '../db/index.js';
import type { JobInput } from '../db/model/input.js';
import type { PendingJob } from '../db/model/job.js';
import { JOB_STATES, type Job, type JobState } from '../db/model/job.js';
import { QueuectlError } from '../utils/errors.js';
import { quote } from '../utils/text.js';
import { readAddress, readDirectory } from './address.js';
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

/** Where a queue is: in a directory, as given to `queuectl --data-dir`, or at an address, as given to `--store`. */
export type QueuePlace =
  | { readonly dataDir: string; readonly store?: undefined }
  | { readonly store: string; readonly dataDir?: undefined };

/**
 * Opens a queue.
 *
 * @throws QueuectlError INVALID: no place is given, or none that can be used; STORAGE: others own it or can write to it
 */
export function openQueue(place: QueuePlace): Queue {
  let error: QueuectlError | undefined;
  const { queue, close } = openCore(addressOf(place), (warning) => {
    error = warning;
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
      if (error !== undefined) throw error;
    },
  };
}

/** @param place what a program gives that need not be checked by a compiler */
function addressOf({ dataDir, store }: { readonly dataDir?: unknown; readonly store?: unknown } = {}): StoreAddress {
  const invalid = (fact: string, remedy: string) => new QueuectlError('INVALID', fact, remedy);
  if (dataDir !== undefined && store !== undefined) {
    throw invalid('openQueue: dataDir and store exclude each other', 'Give one of them.');
  }
  const [name, text] = store === undefined ? ['dataDir', dataDir] : ['store', store];
  if (text === undefined) throw invalid('openQueue needs to know where the queue is', 'Give { dataDir } or { store }.');
  if (typeof text !== 'string' || text === '') {
    throw invalid(`openQueue: ${name} must be a string that is not empty`, 'Correct it.');
  }
  const give = (address: string) => `{ store: ${JSON.stringify(address)} }`;
  const origin = { code: 'INVALID', name: `openQueue: ${name}`, give } as const;
  if (store === undefined) return readDirectory(text, origin);
  return readAddress(text, origin, { env: process.env, programFile: fileURLToPath(import.meta.url) });
}

export type { JobInput } from '../db/model/input.js';
export type { CompletedJob, DeadJob, FailedJob, Job, JobState, PendingJob, ProcessingJob } from '../db/model/job.js';
export type { ErrorCode, ErrorData } from '../utils/errors.js';
export { QueuectlError };
