/** Starts, lists and stops the workers of a store. */
import fs from 'node:fs';
import type { StoreAddress } from '../db/index.js';
import type { ProcessingJob } from '../db/model/job.js';
import { DEFAULT_CONFIG } from '../db/model/settings.js';
import type { WorkerRecord } from '../db/model/worker.js';
import type { Store } from '../db/store.js';
import { monotonicMs } from '../utils/clock.js';
import { complain, withoutRepeats } from '../utils/complain.js';
import { delay, nextTurn } from '../utils/delay.js';
import { errnoCode, QueuectlError, storageError } from '../utils/errors.js';
import { here } from '../utils/processIdentity.js';
import type { QueueManager } from './queueManager.js';
import type { RunDirectory } from './run/runDirectory.js';
import { isAlive, mayLive, whereabouts } from './workers/liveness.js';
import { describeMissing, type SupervisorMessage, type SupervisorTask, type WorkerEvent } from './workers/messages.js';
import { recoverLost } from './workers/recovery.js';

export type { WorkerEvent };

export interface StartedWorkers {
  readonly supervisorPid: number;
  readonly pids: number[];
}

interface Count {
  readonly count: number;
  /** How many jobs each worker runs at once. */
  readonly concurrency: number;
}

const LOOK_EVERY_MS = 20;
/** Two signals sent at once may arrive as one. */
const REPEAT_SIGNAL_MS = 300;
/** Workers that were told to end their jobs at once have ended so long after the grace period of the commands. */
const PATIENCE_MS = 10_000;

export class WorkerManager {
  constructor(
    private readonly store: Store,
    private readonly queue: QueueManager,
    private readonly run: RunDirectory,
    private readonly address: StoreAddress,
  ) {}

  /**
   * Starts workers that go on when this process ends, under a supervisor of their own.
   *
   * @returns once all of them are ready to work
   * @throws QueuectlError STORAGE: they could not start, and none is left
   */
  async startWorkers({ count, concurrency }: Count): Promise<StartedWorkers> {
    const task: SupervisorTask = { address: this.address, count, concurrency };
    await this.run.trimWorkersLog();
    const log = this.run.openWorkersLog();
    const { forkProgram, startLimitMs } = await import('./workers/forkProgram.js'); // node:child_process takes its time to load
    const supervisor = forkProgram('supervisor', task, log);
    fs.closeSync(log);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<StartedWorkers>((resolve, reject) => {
        const fail = (fact: string, remedy = '') =>
          reject(new QueuectlError('STORAGE', fact, remedy || `See ${this.run.workersLog} for more.`));
        let hasAnswered = false;
        supervisor.on('message', (message: SupervisorMessage) => {
          hasAnswered = true;
          if (message.kind === 'started') resolve(message);
          else fail(message.fact, message.remedy);
        });
        supervisor.on('error', (error) => reject(storageError(error, 'start the workers')));
        supervisor.on('exit', () => fail('the workers ended while they started'));
        const limitMs = startLimitMs(count + 5); // the supervisor says so first, if it can
        timer = setTimeout(async () => {
          await nextTurn(); // this process may have been stopped, and not have heard yet
          if (hasAnswered) return;
          fail(`the workers were not ready after ${limitMs / 1000} seconds`);
          supervisor.kill('SIGKILL');
        }, limitMs);
      });
    } finally {
      clearTimeout(timer);
      if (supervisor.connected) supervisor.disconnect();
      supervisor.unref();
    }
  }

  /** Runs workers under this very process; resolves when it was told to stop (SIGINT, SIGTERM) and all have ended. */
  async runForeground({ count, concurrency, onEvent }: Count & { onEvent(event: WorkerEvent): void }): Promise<void> {
    const { store, run, address } = this;
    const { Supervisor } = await import('./workers/supervisor.js');
    const onError = withoutRepeats(complain);
    const supervisor = new Supervisor({ store, run, address, count, concurrency, onEvent, onError, reportsJobs: true });
    const ignoreSignals = supervisor.obeySignals();
    try {
      await supervisor.start();
      await supervisor.run();
    } finally {
      ignoreSignals();
    }
  }

  /**
   * Stops every worker of the store: each finishes its current jobs first.
   *
   * @param now ends the current jobs instead, and gives them back; wakes processes that were stopped by SIGSTOP
   * @returns how many workers have stopped, once none is left
   * @throws QueuectlError DAMAGED, STORAGE: those that can be stopped have, and there are, or may be, others; with `now`
   *   also when some have not ended in time
   */
  async stopWorkers({ now }: { now: boolean }): Promise<number> {
    const all = (await this.store.workers.list()).records.filter(isAlive);
    const living = all.filter(isHere);
    // A worker whose supervisor is gone is stopping by itself.
    for (const record of living) if (record.role === 'supervisor') sendSignal(record, now ? 'SIGTERM' : 'SIGHUP');
    if (now) for (const record of living) sendSignal(record, 'SIGCONT');
    const startedAt = monotonicMs();
    const limitMs = now ? (await this.killGraceMs()) + PATIENCE_MS : Number.POSITIVE_INFINITY;
    let left = living;
    let signalledAt = monotonicMs();
    while (left.length > 0) {
      await delay(LOOK_EVERY_MS);
      left = left.filter(isAlive);
      if (now && monotonicMs() - signalledAt >= REPEAT_SIGNAL_MS) {
        const ids = new Set<string | null>(left.map(({ id }) => id));
        for (const record of left) if (!ids.has(record.supervisor_id)) sendSignal(record, 'SIGTERM');
        signalledAt = monotonicMs();
      }
      if (left.length > 0 && monotonicMs() - startedAt >= limitMs) throw notEnded(left, limitMs);
    }
    await this.recoverLost();
    const { fault } = await this.listWorkers();
    if (fault !== undefined) throw fault;
    for (const [where, place] of [
      ['container', 'in another container (pid namespace)'],
      ['host', 'on another host'],
    ]) {
      const { length } = all.filter((record) => whereabouts(record, here) === where);
      if (length > 0)
        throw new QueuectlError('STORAGE', `${length} processes of queuectl run ${place}`, 'Stop them there.');
    }
    return living.filter(({ role }) => role === 'worker').length;
  }

  /** The pids of the workers and supervisors that live and can be stopped from here. */
  async listPids(): Promise<number[]> {
    const { records } = await this.store.workers.list();
    return records.filter((record) => isHere(record) && isAlive(record)).map(({ pid }) => pid);
  }

  /** The workers that live, and why others could not be started again; `fault` is that of a record which may be of others. */
  async listWorkers(): Promise<{ workers: WorkerRecord[]; missing: string[]; fault: QueuectlError | undefined }> {
    const { records, unreadable } = await this.store.workers.list();
    const living = records.filter(isAlive);
    return {
      workers: living.filter(({ role }) => role === 'worker'),
      missing: living.flatMap(describeMissing),
      fault: unreadable.find(mayLive)?.fault,
    };
  }

  /** That of the default when the settings cannot be read: the workers are to be stopped all the same. */
  private async killGraceMs(): Promise<number> {
    try {
      return (await this.queue.getConfig('kill_grace')) * 1000;
    } catch (error) {
      if (error instanceof QueuectlError) return DEFAULT_CONFIG.kill_grace * 1000;
      throw error;
    }
  }

  /** Takes back the jobs of workers that died. */
  recoverLost(): Promise<ProcessingJob[]> {
    return recoverLost(this.store, this.queue, this.run);
  }
}

const isHere = (record: WorkerRecord) => whereabouts(record, here) === 'here';

function notEnded(left: readonly WorkerRecord[], limitMs: number): QueuectlError {
  const pids = left.map(({ pid }) => pid);
  const who = pids.length === 1 ? 'a process of queuectl has' : `${pids.length} processes of queuectl have`;
  const remedy = `End what is left with \`kill -KILL ${pids.join(' ')}\`; \`queuectl worker-stop --now\` takes the jobs back then.`;
  return new QueuectlError('STORAGE', `${who} not ended within ${limitMs / 1000} s: ${pids.join(', ')}`, remedy);
}

function sendSignal({ pid }: WorkerRecord, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoCode(error) === 'ESRCH') return; // it has just ended
    throw storageError(error, `stop process ${pid}`);
  }
}
