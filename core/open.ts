/** Opens a store with all that the command line needs to work on it. */
import path from 'node:path';
import { openFileStore } from '../db/index.js';
import type { QueuectlError } from '../utils/errors.js';
import { QueueManager } from './queueManager.js';
import { WorkerManager } from './workerManager.js';

export interface Core {
  readonly queue: QueueManager;
  readonly workers: WorkerManager;
  /** Where a job's output is. */
  logFile(jobId: string): Promise<string>;
  /** @returns what kept the files from being brought up to date; nothing acknowledged is lost by it */
  close(): Promise<QueuectlError | undefined>;
}

/** @param dataDir where the store is */
export function openCore(dataDir: string): Core {
  const absolute = path.resolve(dataDir);
  const store = openFileStore(absolute, { folds: 'at once' });
  const queue = new QueueManager(store);
  return {
    queue,
    workers: new WorkerManager(store, queue, absolute),
    logFile: (jobId) => store.logFile(jobId),
    close: () => store.close(),
  };
}
