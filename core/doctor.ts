/** Looks a store over and mends what it can: its files, as the store knows them, and its workers. */

import { openStore, resolveAddress, type StoreAddress, stateDirectoryOf } from '../db/index.js';
import type { Job } from '../db/model/job.js';
import type { Check, Store } from '../db/store.js';
import { FIX, looked } from '../db/stores/placeChecks.js';
import { type Clock, systemClock } from '../utils/clock.js';
import { QueuectlError } from '../utils/errors.js';
import { namesIn } from '../utils/files.js';
import { QueueManager } from './queueManager.js';
import { findStray } from './run/outputs.js';
import { RunDirectory } from './run/runDirectory.js';
import { isAlive, mayLive } from './workers/liveness.js';
import { describeMissing } from './workers/messages.js';
import { isOfNoUse, lostJobs, recoverLost, surveyWorkers } from './workers/recovery.js';

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
 * @param fix mends what can be mended, and keeps what it replaces
 */
export async function* examine(
  named: StoreAddress,
  { fix, clock = systemClock }: { readonly fix: boolean; readonly clock?: Clock },
): AsyncGenerator<Finding> {
  const warnings: QueuectlError[] = [];
  let store: Store;
  let address: StoreAddress;
  try {
    address = resolveAddress(named);
    const role = fix ? 'command' : 'onlooker';
    store = openStore(address, { role, onWarning: (warning) => warnings.push(warning), isAlive, clock });
  } catch (error) {
    yield wrong('data directory', error);
    return;
  }
  let isWell = true;
  for await (const check of checksOf({ store, run: new RunDirectory(stateDirectoryOf(address)) })) {
    const finding = await settle(check, fix);
    isWell &&= finding.state !== 'wrong';
    yield finding;
  }
  await store.close(); // by an onlooker nothing is folded
  if (isWell) for (const warning of warnings) yield wrong('fold', warning);
}

async function settle(check: Check, fix: boolean): Promise<Finding> {
  const { name, state, fact } = check;
  if (!fix || check.repair === undefined) {
    return { check: name, state, fact, remedy: check.state === 'ok' ? '' : check.remedy };
  }
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

/** What is looked at. */
interface Patient {
  readonly store: Store;
  readonly run: RunDirectory;
}

async function* checksOf(patient: Patient): AsyncGenerator<Check> {
  const { store } = patient;
  for await (const check of store.check()) {
    yield check;
    if (check.name === 'data directory' && check.state === 'wrong') return; // whatever lies there is somebody else's
  }
  yield await looked('worker records', () => checkWorkerRecords(patient));
  let jobs: Job[];
  try {
    jobs = await store.read(async (reader) => (await reader.jobs({})).map(({ record }) => record));
  } catch (error) {
    if (!(error instanceof QueuectlError)) throw error; // the files have told why
    yield { name: 'logs', state: 'ok', fact: 'not looked at, as long as it is not sure which jobs there are' };
    return;
  }
  yield await looked('logs', () => checkLogs(patient));
  yield checkClock(jobs, store.clock());
  yield await looked('workers', () => checkWorkers(patient, jobs));
  yield await looked('notes of dead workers', () => checkElsewhere(patient));
}

/** The records of processes that cannot be read. */
async function checkWorkerRecords({ store, run }: Patient): Promise<Check> {
  const name = 'worker records';
  const { unreadable } = await store.workers.list();
  const doubtful = unreadable.find(mayLive);
  const dead = unreadable.filter((record) => !mayLive(record));
  const first = doubtful ?? dead[0];
  if (first === undefined) return { name, state: 'ok', fact: 'all can be read' };
  const fact = `${first.fault.fact}${unreadable.length > 1 ? ` (and ${unreadable.length - 1} more)` : ''}`;
  const others = first.path === undefined ? 'wait until it has ended' : 'delete the file';
  const byHand = `End the process that its name begins with if that is a worker; if not, ${others}.`;
  return {
    name,
    state: 'wrong',
    fact,
    remedy: doubtful === undefined ? `Its worker is gone; ${FIX} keeps a copy and removes it.` : byHand,
    ...(dead.length === 0 ? {} : { repair }),
  };
  async function repair(): Promise<string> {
    // What is noted of its commands is for those who recover its jobs.
    const files = dead.flatMap(({ path }) => path ?? []);
    const kept = files.length === 0 ? '' : `; a copy is in ${run.putAway(files, store.clock())}`;
    for (const { id } of dead) await store.workers.unregister(id);
    if (doubtful !== undefined) throw new QueuectlError('DAMAGED', doubtful.fault.fact, byHand);
    return `removed${kept}`;
  }
}

async function checkLogs({ store, run }: Patient): Promise<Check> {
  const name = 'logs';
  const logs = namesIn(run.logs); // before the jobs: one added meanwhile has its log looked for in vain only
  const ids = await store.read(async (reader) => (await reader.jobs({})).map(({ record }) => record.id));
  const { stray, count } = findStray(logs, ids);
  if (stray.length === 0) return { name, state: 'ok', fact: `${count}, each of a job` };
  const fact = `${count}, ${stray.length} of them of no job`;
  // What a repair has left out may still be wanted, and so may its logs.
  if (run.hasPutAwayBut('logs')) {
    return { name, state: 'ok', fact: `${fact}, but kept as long as ${run.replaced} has files from before a repair` };
  }
  const repair = async () => {
    const away = run.putAway(
      stray.map((log) => `${run.logs}/${log}`),
      store.clock(),
      'logs',
    );
    return `moved to ${away}`;
  };
  return { name, state: 'ok', fact, repair };
}

function checkClock(jobs: readonly Job[], now: number): Check {
  const name = 'clock';
  let newest = 0;
  for (const { updated_at } of jobs) newest = Math.max(newest, updated_at);
  if (newest <= now + CLOCK_TOLERANCE_MS) return { name, state: 'ok', fact: 'later than every change of a job' };
  const fact = `it is ${Math.round((newest - now) / 1000)} s behind the last change of a job`;
  return { name, state: 'wrong', fact, remedy: 'See whether it is right; retries may come late by that much.' };
}

async function checkWorkers({ store, run }: Patient, jobs: readonly Job[]): Promise<Check> {
  const name = 'workers';
  const survey = await surveyWorkers(store.workers, run);
  const lost = lostJobs(jobs, survey);
  // Records that cannot be read have a check of their own.
  const gone = survey.gone.flatMap(({ record }) => (record !== undefined && 'fault' in record ? [] : [record]));
  if (gone.length + lost.length === 0) {
    const [missing] = survey.living.flatMap(describeMissing);
    if (missing !== undefined) {
      return {
        name,
        state: 'wrong',
        fact: missing,
        remedy: `It is tried again and again; ${run.workersLog} tells when.`,
      };
    }
    return {
      name,
      state: 'ok',
      fact: `${survey.living.filter(({ role }) => role === 'worker').length} work on the queue`,
    };
  }
  const whose = gone.flatMap((record) => (record === undefined ? [] : `${record.role} ${record.pid}`));
  return {
    name,
    state: 'wrong',
    fact: `not there any more: ${whose.join(', ') || 'nobody that is known'}; jobs to be taken back: ${lost.length}`,
    remedy: `The next worker or \`queuectl status\` sees to it, and so does ${FIX}.`,
    repair: async () => `taken back: ${(await recoverLost(store, new QueueManager(store), run)).length}`,
  };
}

/** What is noted of commands for those who can end them, as they run where a dead worker ran. */
async function checkElsewhere({ store, run }: Patient): Promise<Check> {
  const check = { name: 'notes of dead workers', state: 'ok' } as const;
  const survey = await surveyWorkers(store.workers, run);
  const useless = () => survey.elsewhere.filter((id) => isOfNoUse(id, survey, run));
  const gone = useless().length;
  const kept = survey.elsewhere.length - gone;
  if (gone + kept === 0) return { ...check, fact: 'none is left over' };
  const facts = [
    ...(gone > 0 ? [`left over of ${gone} in containers that are gone`] : []),
    ...(kept > 0 ? [`kept of ${kept} elsewhere, for who is there and may have their commands to end`] : []),
  ];
  const fact = facts.join('; ');
  if (gone === 0) return { ...check, fact };
  const repair = async () => {
    const found = useless();
    for (const id of found) run.forget(id);
    return `removed those of ${found.length}`;
  };
  return { ...check, fact, repair };
}
