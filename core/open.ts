/** Opens a store with all that the command line needs to work on it. */
import { openStore, resolveAddress, type StoreAddress, stateDirectoryOf } from '../db/index.js';
import { attemptNumber, type Job } from '../db/model/job.js';
import type { QueuectlError } from '../utils/errors.js';
import { QueueManager } from './queueManager.js';
import { outputsOf } from './run/outputs.js';
import { RunDirectory } from './run/runDirectory.js';
import { WorkerManager } from './workerManager.js';
import { isAlive } from './workers/liveness.js';

export interface Core {
  readonly queue: QueueManager;
  readonly workers: WorkerManager;
  /** The files with the output of a job on this machine, one an attempt, in order. @throws QueuectlError STORAGE */
  outputsOf(job: Job): string[];
  close(): Promise<void>;
}

/**
 * @param onWarning told what kept the store from being tidied; nothing acknowledged is lost by it
 * @throws QueuectlError STORAGE: others own it, can write to it, or could turn a link to it elsewhere
 */
export function openCore(named: StoreAddress, onWarning: (warning: QueuectlError) => void): Core {
  const address = resolveAddress(named);
  const store = openStore(address, { role: 'command', onWarning, isAlive });
  const queue = new QueueManager(store);
  const run = new RunDirectory(stateDirectoryOf(address));
  return {
    queue,
    workers: new WorkerManager(store, queue, run, address),
    outputsOf: (job) =>
      outputsOf(run.logs, { id: job.id, attempts: attemptNumber(job), since: Math.min(...timesOf(job)) }),
    close: () => store.close(),
  };
}

/** The moments of which a record tells: the earliest is when the job came to be, even if the clock has been set back since. */
const timesOf = ({ created_at, updated_at, processing_started_at }: Job) => [
  created_at,
  updated_at,
  processing_started_at ?? created_at,
];
