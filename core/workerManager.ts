/** Starts, lists and stops the workers of a store. */
import fs from 'node:fs';
import type { ProcessingJob } from '../db/model/job.js';
import type { WorkerRecord } from '../db/model/worker.js';
import type { Store } from '../db/store.js';
import { monotonicMs } from '../utils/clock.js';
import { delay } from '../utils/delay.js';
import { errnoCode, QueuectlError, storageError } from '../utils/errors.js';
import { makeDirectory, openToAppend } from '../utils/files.js';
import { isAlive, isElsewhere } from '../utils/processIdentity.js';
import type { QueueManager } from './queueManager.js';
import { recoverLost } from './workers/recovery.js';
import type { Failure, WorkerEvent } from './workers/supervisor.js';

/** What the supervisor process is told on its command line, as JSON. */
export interface SupervisorTask {
  readonly dataDir: string;
  readonly count: number;
  readonly concurrency: number;
}

/** What the supervisor process tells the one that started it. */
export type SupervisorMessage =
  | { readonly kind: 'started'; readonly supervisorPid: number; readonly pids: number[] }
  | Failure;

export type { WorkerEvent } from './workers/supervisor.js';

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

export class WorkerManager {
  constructor(
    private readonly store: Store,
    private readonly queue: QueueManager,
    private readonly dataDir: string,
  ) {}

  /**
   * Starts workers that go on when this process ends, under a supervisor of their own.
   *
   * @returns once all of them are ready to work
   * @throws QueuectlError STORAGE: they could not start, and none is left
   */
  async startWorkers({ count, concurrency }: Count): Promise<StartedWorkers> {
    const task: SupervisorTask = { dataDir: this.dataDir, count, concurrency };
    const log = this.openLog();
    const { forkProgram } = await import('./workers/supervisor.js'); // node:child_process takes its time to load
    const supervisor = forkProgram('supervisor', task, log);
    fs.closeSync(log);
    try {
      return await new Promise<StartedWorkers>((resolve, reject) => {
        const fail = (fact: string, remedy = '') =>
          reject(new QueuectlError('STORAGE', fact, remedy || `See ${this.logPath()} for more.`));
        supervisor.on('message', (message: SupervisorMessage) => {
          if (message.kind === 'started') resolve(message);
          else fail(message.fact, message.remedy);
        });
        supervisor.on('error', (error) => reject(storageError(error, 'start the workers')));
        supervisor.on('exit', () => fail('the workers ended while they started'));
      });
    } finally {
      if (supervisor.connected) supervisor.disconnect();
      supervisor.unref();
    }
  }

  private logPath(): string {
    return `${this.dataDir}/workers/workers.log`;
  }

  private openLog(): number {
    try {
      makeDirectory(`${this.dataDir}/workers`);
      return openToAppend(this.logPath());
    } catch (error) {
      throw storageError(error, `write ${this.logPath()}`);
    }
  }

  /** Runs workers under this very process; resolves when it was told to stop (SIGINT, SIGTERM) and all have ended. */
  async runForeground({ count, concurrency, onEvent }: Count & { onEvent(event: WorkerEvent): void }): Promise<void> {
    const { store, dataDir } = this;
    const { Supervisor } = await import('./workers/supervisor.js');
    const supervisor = new Supervisor({ store, dataDir, count, concurrency, onEvent, reportsJobs: true });
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
   * @param now ends the current jobs instead, and gives them back
   * @returns how many workers have stopped, once none is left
   * @throws QueuectlError DAMAGED, STORAGE: those that can be stopped have, and there are, or may be, others
   */
  async stopWorkers({ now }: { now: boolean }): Promise<number> {
    const all = (await this.store.workers.listRecords()).filter(isAlive);
    const living = all.filter((record) => !isElsewhere(record));
    // A worker whose supervisor is gone is stopping by itself.
    for (const record of living) if (record.role === 'supervisor') sendSignal(record, now ? 'SIGTERM' : 'SIGHUP');
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
    }
    await this.recoverLost();
    const { doubt } = await this.listWorkers();
    if (doubt !== undefined) throw doubt;
    const elsewhere = all.length - living.length;
    if (elsewhere > 0) {
      const fact = `${elsewhere} processes of queuectl run in another container (pid namespace)`;
      throw new QueuectlError('STORAGE', fact, 'Stop them there.');
    }
    return living.filter(({ role }) => role === 'worker').length;
  }

  /** The workers that live; `doubt` says why there may be others, if there may. */
  async listWorkers(): Promise<{ workers: WorkerRecord[]; doubt: QueuectlError | undefined }> {
    const { records, unreadable } = await this.store.workers.survey();
    return {
      workers: records.filter((record) => record.role === 'worker' && isAlive(record)),
      doubt: unreadable.find(({ mayLive }) => mayLive)?.fault,
    };
  }

  /** Takes back the jobs of workers that died. */
  recoverLost(): Promise<ProcessingJob[]> {
    return recoverLost(this.store, this.queue);
  }
}

function sendSignal({ pid }: WorkerRecord, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoCode(error) === 'ESRCH') return; // it has just ended
    throw storageError(error, `stop process ${pid}`);
  }
}
