/** Looks a store over and mends what it can: its files, as the store knows them, and its workers. */

import { openFileStore } from '../db/index.js';
import type { DeadJob, Job } from '../db/model/job.js';
import type { Check, Store } from '../db/store.js';
import { type Clock, systemClock } from '../utils/clock.js';
import { QueuectlError } from '../utils/errors.js';
import { isAlive } from '../utils/processIdentity.js';
import { QueueManager } from './queueManager.js';
import { recoverLost } from './workers/recovery.js';

/** What the doctor says of one thing. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'wrong' | 'fixed';
  readonly fact: string;
  /** What to do about it; empty unless it is wrong. */
  readonly remedy: string;
}

/** A record that was changed so much later than now says that the clock was set back. */
const CLOCK_TOLERANCE_MS = 60_000;

/**
 * Makes every check. Nothing is changed unless it is to be fixed.
 *
 * @param dataDir an absolute path
 * @param fix mends what can be mended, and keeps what it replaces
 */
export async function* examine(
  dataDir: string,
  { fix, clock = systemClock }: { readonly fix: boolean; readonly clock?: Clock },
): AsyncGenerator<Finding> {
  let store: Store;
  try {
    store = openFileStore(dataDir, { clock });
  } catch (error) {
    yield wrong('data directory', error);
    return;
  }
  let isWell = true;
  for await (const check of checksOf(store, clock)) {
    const finding = await settle(check, fix);
    isWell &&= finding.state !== 'wrong';
    yield finding;
  }
  if (!fix) return; // nor is anything folded
  const failure = await store.close();
  if (failure !== undefined && isWell) yield wrong('fold', failure);
}

async function settle(check: Check, fix: boolean): Promise<Finding> {
  const { name, state, fact } = check;
  if (state === 'ok') return { check: name, state, fact, remedy: '' };
  if (!fix || check.repair === undefined) return { check: name, state, fact, remedy: check.remedy };
  try {
    return { check: name, state: 'fixed', fact: `${fact}; ${await check.repair()}`, remedy: '' };
  } catch (error) {
    return wrong(name, error);
  }
}

function wrong(check: string, error: unknown): Finding {
  if (!(error instanceof QueuectlError)) throw error;
  return { check, state: 'wrong', fact: error.fact, remedy: error.remedy };
}

async function* checksOf(store: Store, clock: Clock): AsyncGenerator<Check> {
  yield* store.checkFiles();
  const queue = new QueueManager(store, clock);
  let jobs: Job[];
  let dead: DeadJob[];
  try {
    [jobs, dead] = await store.look(async ({ jobs, dlq }) => [await jobs.listJobs(), await dlq.listDLQ()]);
  } catch (error) {
    if (error instanceof QueuectlError) return; // the files have told why
    throw error;
  }
  yield checkClock(jobs, dead, clock());
  yield await checkWorkers(store, queue, jobs);
}

function checkClock(jobs: readonly Job[], dead: readonly DeadJob[], now: number): Check {
  const name = 'clock';
  let newest = 0;
  for (const { updated_at } of jobs) newest = Math.max(newest, updated_at);
  for (const { failed_at } of dead) newest = Math.max(newest, failed_at);
  if (newest <= now + CLOCK_TOLERANCE_MS) return { name, state: 'ok', fact: 'later than every change of a job' };
  const fact = `it is ${Math.round((newest - now) / 1000)} s behind the last change of a job`;
  return { name, state: 'wrong', fact, remedy: 'See whether it is right; retries may come late by that much.' };
}

async function checkWorkers(store: Store, queue: QueueManager, jobs: readonly Job[]): Promise<Check> {
  const name = 'workers';
  const { records, unreadable, unrecorded } = await store.workers.survey();
  const dead = records.filter((record) => !isAlive(record));
  const mayLive = unreadable.filter((record) => record.mayLive);
  const present = new Set([...records.filter(isAlive), ...mayLive].map(({ id }) => id));
  const lost = jobs.filter((job) => job.state === 'processing' && !present.has(job.worker_id));
  if (dead.length + lost.length + unrecorded.length === 0) {
    return { name, state: 'ok', fact: `${records.filter(({ role }) => role === 'worker').length} work on the queue` };
  }
  const whose = dead.map(({ role, pid }) => `${role} ${pid}`).join(', ') || 'nobody that is known';
  return {
    name,
    state: 'wrong',
    fact: `not there any more: ${whose}; jobs to be taken back: ${lost.length}`,
    remedy: 'The next worker or `queuectl status` sees to it, and so does `queuectl doctor --fix`.',
    repair: async () => `taken back: ${(await recoverLost(store, queue)).length}`,
  };
}
