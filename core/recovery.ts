/** Takes back the jobs of workers that died, after ending what is left of their commands. */
import type { ProcessingJob, WorkerRecord } from '../db/schema.js';
import type { Store } from '../db/store.js';
import { isLeader } from '../utils/groupNote.js';
import { endGroup } from '../utils/processGroup.js';
import { currentIdentity, isAlive, isElsewhere, startTimeOf } from '../utils/processIdentity.js';
import type { QueueManager } from './queueManager.js';

/** How long a command of a dead worker has between SIGTERM and SIGKILL. */
const GRACE_MS = 1000;

/**
 * Recovers every job whose worker is dead or unknown. Each counts as a failed attempt. Safe to run by several at once.
 *
 * @returns the jobs taken back
 */
export async function recoverLost(store: Store, queue: QueueManager): Promise<ProcessingJob[]> {
  // Jobs before records: a worker is on record before it claims, so no job listed here has a worker that is yet to come.
  const processing = await store.jobs.listJobs('processing');
  const records = await store.workers.listRecords();
  const unsure = (await store.workers.listUnreadable()).filter(({ mayLive }) => mayLive);
  const dead = records.filter((record) => !isAlive(record));
  for (const record of dead) await endCommands(store, record);
  const living = new Set([...records.filter((record) => !dead.includes(record)), ...unsure].map(({ id }) => id));
  const lost = processing.filter(
    (job): job is ProcessingJob => job.state === 'processing' && !living.has(job.worker_id),
  );
  const recovered: ProcessingJob[] = [];
  for (const job of lost) {
    if ((await queue.handleRetry(job, { kind: 'worker died' })) !== 'refused') recovered.push(job);
  }
  for (const record of dead) await store.workers.unregister(record.id);
  return recovered;
}

async function endCommands(store: Store, worker: WorkerRecord): Promise<void> {
  // The machine was restarted, or the container, and nothing is left.
  if (worker.boot_id !== currentIdentity().boot_id || isElsewhere(worker)) return;
  for (const group of await store.workers.listGroups(worker.id)) {
    const startTime = startTimeOf(group.pgid);
    if (startTime === undefined || isLeader(group, startTime)) await endGroup(group.pgid, GRACE_MS);
  }
}
