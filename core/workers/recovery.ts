/** Takes back the jobs of workers that died, after ending what is left of their commands. */
import type { Job, ProcessingJob } from '../../db/model/job.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import type { Store, UnreadableRecord, WorkerTable } from '../../db/store.js';
import { here, startTimeOf } from '../../utils/processIdentity.js';
import type { QueueManager } from '../queueManager.js';
import { isLeader } from '../run/groupNote.js';
import { endGroup } from '../run/processGroup.js';
import type { RunDirectory } from '../run/runDirectory.js';
import { isAlive, mayLive, whereabouts } from './liveness.js';

/** How long a command of a dead worker has between SIGTERM and SIGKILL. */
const GRACE_MS = 1000;

/** Who works, or worked, on a store, as seen from this machine. */
export interface Survey {
  readonly living: WorkerRecord[];
  /** Records that cannot be read, of processes that may live. */
  readonly doubtful: UnreadableRecord[];
  readonly gone: Gone[];
}

interface Gone {
  readonly id: string;
  /** Absent for one that is not on record. */
  readonly record?: WorkerRecord | UnreadableRecord;
  /** Whether commands of it may run here. */
  readonly ranHere: boolean;
}

export async function surveyWorkers(workers: WorkerTable, run: RunDirectory): Promise<Survey> {
  const knownHere = run.workers(); // before the records: who is known here and lives has been on record before
  const { records, unreadable } = await workers.list();
  const survey: Survey = { living: [], doubtful: [], gone: [] };
  for (const record of records) {
    if (isAlive(record)) survey.living.push(record);
    else survey.gone.push({ id: record.id, record, ranHere: whereabouts(record, here) === 'here' });
  }
  for (const record of unreadable) {
    if (mayLive(record)) survey.doubtful.push(record);
    else survey.gone.push({ id: record.id, record, ranHere: true });
  }
  const onRecord = new Set([...records, ...unreadable].map(({ id }) => id));
  for (const id of knownHere) if (!onRecord.has(id)) survey.gone.push({ id, ranHere: true });
  return survey;
}

/**
 * Recovers every job whose worker is dead or unknown. Each counts as a failed attempt. Safe to run by several at once.
 *
 * @returns the jobs taken back
 */
export async function recoverLost(store: Store, queue: QueueManager, run: RunDirectory): Promise<ProcessingJob[]> {
  const { workers } = store;
  // Jobs before records: a worker is on record before it claims, so no job listed here has a worker that is yet to come.
  const processing = await queue.list('processing');
  const survey = await surveyWorkers(workers, run);
  for (const { id, ranHere } of survey.gone) {
    await workers.unregister(id); // for a worker of version 0.1.0 that is the guard
    run.condemn(id); // a command whose group is not noted by now does not begin any more
    if (ranHere) await endCommands(run, id);
  }
  const recovered: ProcessingJob[] = [];
  for (const job of lostJobs(processing, survey)) {
    if ((await queue.handleRetry(job, { kind: 'worker died' })) !== 'refused') recovered.push(job);
  }
  for (const { id } of survey.gone) run.forget(id);
  return recovered;
}

/** Those jobs whose worker is not among those that live, or may. */
export function lostJobs(jobs: readonly Job[], { living, doubtful }: Survey): ProcessingJob[] {
  const present = new Set([...living, ...doubtful].map(({ id }) => id));
  return jobs.filter((job): job is ProcessingJob => job.state === 'processing' && !present.has(job.worker_id));
}

async function endCommands(run: RunDirectory, workerId: string): Promise<void> {
  for (const group of run.listGroups(workerId)) {
    const startTime = startTimeOf(group.pgid);
    if (startTime === undefined || isLeader(group, startTime)) await endGroup(group.pgid, GRACE_MS);
  }
}
