/** Takes back the jobs of workers that died, after ending what is left of their commands. */
import type { ProcessingJob } from '../../db/model/job.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import type { Store } from '../../db/store.js';
import { currentIdentity, isAlive, isElsewhere, startTimeOf } from '../../utils/processIdentity.js';
import type { QueueManager } from '../queueManager.js';
import { isLeader } from '../run/groupNote.js';
import { endGroup } from '../run/processGroup.js';

/** How long a command of a dead worker has between SIGTERM and SIGKILL. */
const GRACE_MS = 1000;

/**
 * Recovers every job whose worker is dead or unknown. Each counts as a failed attempt. Safe to run by several at once.
 *
 * @returns the jobs taken back
 */
export async function recoverLost(store: Store, queue: QueueManager): Promise<ProcessingJob[]> {
  const { workers, jobs } = store;
  // Jobs before records: a worker is on record before it claims, so no job listed here has a worker that is yet to come.
  const processing = await jobs.listJobs('processing');
  const { records, unreadable, unrecorded } = await workers.survey();
  const dead = records.filter((record) => !isAlive(record));
  const gone = [
    ...dead.map(({ id }) => id),
    ...unreadable.filter(({ mayLive }) => !mayLive).map(({ id }) => id),
    ...unrecorded,
  ];
  const restarted = new Set(dead.filter((record) => !mayHaveLeftCommands(record)).map(({ id }) => id));
  for (const id of gone) {
    await workers.condemn(id); // a command whose group is not noted by now does not begin any more
    if (!restarted.has(id)) await endCommands(store, id);
  }
  const present = [
    ...records.filter((record) => !dead.includes(record)),
    ...unreadable.filter(({ mayLive }) => mayLive),
  ];
  const living = new Set(present.map(({ id }) => id));
  const lost = processing.filter(
    (job): job is ProcessingJob => job.state === 'processing' && !living.has(job.worker_id),
  );
  const recovered: ProcessingJob[] = [];
  for (const job of lost) {
    if ((await queue.handleRetry(job, { kind: 'worker died' })) !== 'refused') recovered.push(job);
  }
  for (const id of gone) await workers.unregister(id);
  return recovered;
}

/** Not if the machine was restarted meanwhile, or its container. */
const mayHaveLeftCommands = (worker: WorkerRecord) =>
  worker.boot_id === currentIdentity().boot_id && !isElsewhere(worker);

async function endCommands({ workers }: Store, workerId: string): Promise<void> {
  for (const group of await workers.listGroups(workerId)) {
    const startTime = startTimeOf(group.pgid);
    if (startTime === undefined || isLeader(group, startTime)) await endGroup(group.pgid, GRACE_MS);
  }
}
