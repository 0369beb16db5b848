/** Takes back the jobs of workers that died, after ending what is left of their commands. */
import type { Job, ProcessingJob } from '../../db/model/job.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import type { Store, UnreadableRecord, WorkerTable } from '../../db/store.js';
import { here, namespaceIsGone, startTimeOf } from '../../utils/processIdentity.js';
import type { QueueManager } from '../queueManager.js';
import { isLeader } from '../run/groupNote.js';
import { endGroup } from '../run/processGroup.js';
import type { RunDirectory } from '../run/runDirectory.js';
import { isAlive, mayLive, type Whereabouts, whereabouts } from './liveness.js';

/** How long a command of a dead worker has between SIGTERM and SIGKILL. */
const GRACE_MS = 1000;

/** Who works, or worked, on a store, as seen from this machine. */
export interface Survey {
  readonly living: WorkerRecord[];
  /** Records that cannot be read, of processes that may live. */
  readonly doubtful: UnreadableRecord[];
  readonly gone: Gone[];
  /** Dead workers whose jobs were given back long ago. What is noted of their commands is for those who are where they ran. */
  readonly elsewhere: string[];
}

interface Gone {
  readonly id: string;
  /** Absent for one that is not on record. */
  readonly record?: WorkerRecord | UnreadableRecord;
  /** Where it ran: commands of it may run there still. */
  readonly where: Whereabouts;
}

export async function surveyWorkers(workers: WorkerTable, run: RunDirectory): Promise<Survey> {
  const knownHere = run.workers(); // before the records: who is known here and lives has been on record before
  const { records, unreadable } = await workers.list();
  const survey: Survey = { living: [], doubtful: [], gone: [], elsewhere: [] };
  for (const record of records) {
    if (isAlive(record)) survey.living.push(record);
    else survey.gone.push({ id: record.id, record, where: whereabouts(record, here) });
  }
  for (const record of unreadable) {
    if (mayLive(record)) survey.doubtful.push(record);
    else survey.gone.push({ id: record.id, record, where: whereIs(record.id, run) });
  }
  const onRecord = new Set([...records, ...unreadable].map(({ id }) => id));
  for (const id of knownHere) {
    if (onRecord.has(id)) continue;
    const where = whereIs(id, run);
    if (endsHere(where) || run.hasEntered(id)) survey.gone.push({ id, where });
    else survey.elsewhere.push(id);
  }
  return survey;
}

/** Who does not say, as those of earlier versions, ran here. */
function whereIs(id: string, run: RunDirectory): Whereabouts {
  const place = run.placeOf(id);
  return place === undefined ? 'here' : whereabouts(place, here);
}

/** Whether no command runs any more once those that can be seen from here have ended. */
const endsHere = (where: Whereabouts) => where === 'here' || where === 'gone';

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
  for (const { id, where } of survey.gone) {
    await workers.unregister(id); // for a worker of version 0.1.0 that is the guard
    run.condemn(id); // a command whose group is not noted by now does not begin any more
    if (where === 'here') await endCommands(run, id);
  }
  const recovered: ProcessingJob[] = [];
  for (const job of lostJobs(processing, survey)) {
    if ((await queue.handleRetry(job, { kind: 'worker died' })) !== 'refused') recovered.push(job);
  }
  for (const { id, where } of survey.gone) if (endsHere(where)) run.forget(id);
  return recovered;
}

/** Those jobs whose worker is not among those that live, or may. */
export function lostJobs(jobs: readonly Job[], { living, doubtful }: Survey): ProcessingJob[] {
  const present = new Set([...living, ...doubtful].map(({ id }) => id));
  return jobs.filter((job): job is ProcessingJob => job.state === 'processing' && !present.has(job.worker_id));
}

/**
 * Whether nobody is left who could make use of what is noted of a worker: its container (pid namespace) is gone for good.
 * Not so where another of that container gives signs of life, or where it cannot be seen from here.
 */
export function isOfNoUse(workerId: string, { living }: Survey, run: RunDirectory): boolean {
  const place = run.placeOf(workerId);
  if (place?.pid_namespace === undefined || whereabouts(place, here) !== 'container') return false;
  const isThere = (record: WorkerRecord) =>
    record.boot_id === place.boot_id && record.pid_namespace === place.pid_namespace;
  return !living.some(isThere) && namespaceIsGone(place.pid_namespace);
}

async function endCommands(run: RunDirectory, workerId: string): Promise<void> {
  for (const group of run.listGroups(workerId)) {
    const startTime = startTimeOf(group.pgid);
    if (startTime === undefined || isLeader(group, startTime)) await endGroup(group.pgid, GRACE_MS);
  }
}
