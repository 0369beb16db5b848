/**
 * Keeps a number of worker processes running: forks them, starts a dead one again, hands on the request to stop.
 *
 * Promise: `run` returns once no worker of its own is left. Workers stop by themselves when their supervisor dies: the
 * channel to it closes.
 */
import type { ChildProcess } from 'node:child_process';
import type { StoreAddress } from '../../db/index.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import type { Store } from '../../db/store.js';
import { type Clock, monotonicMs } from '../../utils/clock.js';
import { nextTurn } from '../../utils/delay.js';
import { QueuectlError, storageError } from '../../utils/errors.js';
import { QueueManager } from '../queueManager.js';
import type { RunDirectory } from '../run/runDirectory.js';
import { forkProgram, startLimitMs } from './forkProgram.js';
import { newRecord } from './liveness.js';
import type { ProcessError, WorkerEvent, WorkerMessage, WorkerOrder, WorkerTask } from './messages.js';
import { recoverLost } from './recovery.js';

/** A worker that died is started again after this pause; it doubles up to the second figure while they keep dying. */
const RESTART_MS = [100, 30_000] as const;
/** A worker that lived this long did not die of its start. */
const SETTLED_MS = 60_000;

export interface SupervisorOptions {
  readonly store: Store;
  readonly run: RunDirectory;
  readonly address: StoreAddress;
  readonly count: number;
  readonly concurrency: number;
  readonly onEvent: (event: WorkerEvent) => void;
  /** Told what keeps it from starting a worker again, or from taking back the jobs of one; it tries again. */
  readonly onError: (error: Error) => void;
  /** Whether events of jobs are wanted, too. */
  readonly reportsJobs: boolean;
  readonly clock?: Clock;
}

export class Supervisor {
  readonly id: string;
  private readonly record: WorkerRecord;
  private readonly queue: QueueManager;
  private readonly children = new Set<ChildProcess>();
  private readonly restarts = new Map<number, NodeJS.Timeout>();
  /** Why workers could not be started again, by their indexes. */
  private readonly missing = new Map<number, string>();
  private told: Promise<void> = Promise.resolve();
  private stopRequests = 0;
  private allEnded: (() => void) | undefined;

  constructor(private readonly options: SupervisorOptions) {
    const { store } = options;
    this.queue = new QueueManager(store);
    this.record = newRecord('supervisor', null, store.clock());
    this.id = this.record.id;
  }

  /**
   * Puts itself on record and starts the workers.
   *
   * @returns their pids, once all of them are ready
   * @throws QueuectlError STORAGE: one could not start; the others are stopped then
   */
  async start(): Promise<number[]> {
    const { store, count } = this.options;
    await store.workers.register(this.record);
    const indexes = Array.from({ length: count }, (_, at) => at + 1);
    const starts = await Promise.allSettled(indexes.map((index) => this.startWorker(index, 0)));
    const pids: number[] = [];
    for (const start of starts) {
      if (start.status === 'fulfilled') {
        pids.push(start.value);
        continue;
      }
      this.stop();
      await this.run();
      throw start.reason;
    }
    return pids;
  }

  /** Resolves when all workers have ended after a request to stop. */
  async run(): Promise<void> {
    if (!this.isDone()) {
      await new Promise<void>((resolve) => {
        this.allEnded = resolve;
      });
    }
    await this.told; // or it would be on record again
    await this.options.store.workers.unregister(this.id);
  }

  /** The first call lets the workers finish their current jobs; further ones end the jobs and give them back. */
  stop(): void {
    this.stopRequests += 1;
    for (const timer of this.restarts.values()) clearTimeout(timer);
    this.restarts.clear();
    for (const child of this.children) this.askToStop(child);
    this.options.onEvent({ kind: 'stopping', again: this.stopRequests > 1 });
    if (this.isDone()) this.allEnded?.();
  }

  /** The first request is a signal. A second one soon after it would be lost, as a process has each only once at a time. */
  private askToStop(child: ChildProcess): void {
    const order: WorkerOrder = { kind: 'stop now' };
    if (this.stopRequests > 1 && child.connected) child.send(order);
    else child.kill('SIGTERM');
  }

  /**
   * Takes signals for requests to stop. SIGTERM and SIGINT add up. SIGHUP is one request however often it comes: a
   * terminal that closes may send it twice, and several `worker-stop` may wait for the same workers.
   *
   * @returns a function that ends this
   */
  obeySignals(): () => void {
    const stop = () => this.stop();
    const stopOnce = () => {
      if (this.stopRequests === 0) this.stop();
    };
    const handlers = [
      ['SIGTERM', stop],
      ['SIGINT', stop],
      ['SIGHUP', stopOnce],
    ] as const;
    for (const [signal, handler] of handlers) process.on(signal, handler);
    return () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
  }

  private isDone(): boolean {
    return this.stopRequests > 0 && this.children.size === 0;
  }

  /** @returns the worker's pid, once it is ready */
  private async startWorker(index: number, deaths: number): Promise<number> {
    const { address, concurrency, reportsJobs, onEvent, onError } = this.options;
    const task: WorkerTask = { address, supervisorId: this.id, concurrency, reports: reportsJobs };
    let child: ChildProcess;
    try {
      child = forkProgram('worker', task, 'inherit');
    } catch (error) {
      throw notForked(error); // Node throws some codes and hands over others by an event
    }
    this.children.add(child);
    const startedAt = monotonicMs();
    return await new Promise((resolve, reject) => {
      let isReady = false;
      let startError: Omit<ProcessError, 'kind'> | undefined;
      const limitMs = startLimitMs(this.options.count);
      const timer = setTimeout(async () => {
        await nextTurn(); // this process may have been stopped, and not have heard yet
        if (isReady) return;
        startError ??= { fact: `a worker process was not ready after ${limitMs / 1000} seconds`, remedy: STUCK };
        child.kill('SIGKILL');
      }, limitMs);
      child.on('message', (message: WorkerMessage) => {
        if (message.kind === 'failed') {
          startError = message;
          if (isReady) onError(new QueuectlError('STORAGE', message.fact, message.remedy));
        } else if (message.kind === 'ready') {
          isReady = true;
          clearTimeout(timer);
          const pid = child.pid ?? 0; // it has told us something, so it has one
          if (this.stopRequests > 0) child.kill('SIGTERM'); // the request came before it listened to signals
          onEvent({ kind: 'worker started', index, pid });
          resolve(pid);
        } else {
          onEvent(message);
        }
      });
      child.on('error', (error) => {
        startError = notForked(error);
        if (child.pid === undefined) child.emit('exit', null, null); // it could not even be forked
      });
      child.on('exit', (code, signal) => {
        if (!this.children.delete(child)) return;
        clearTimeout(timer);
        const how = signal === null ? `exit code ${code}` : `killed by ${signal}`;
        if (isReady) onEvent({ kind: 'worker ended', pid: child.pid ?? 0, how });
        else {
          const { fact, remedy } = startError ?? {
            fact: `a worker process ended while it started (${how})`,
            remedy: '',
          };
          const wasStopped = this.stopRequests > 0;
          reject(
            new QueuectlError('STORAGE', wasStopped ? 'the workers were stopped while they started' : fact, remedy),
          );
        }
        if (this.isDone()) this.allEnded?.();
        else if (isReady && this.stopRequests === 0) {
          this.startAgain(index, monotonicMs() - startedAt > SETTLED_MS ? 0 : deaths + 1);
        }
      });
    });
  }

  private async recoverLost(): Promise<void> {
    const { store, run } = this.options;
    await recoverLost(store, this.queue, run);
  }

  private startAgain(index: number, deaths: number): void {
    const pauseMs = Math.min(RESTART_MS[0] * 2 ** Math.max(deaths - 1, 0), RESTART_MS[1]);
    this.restarts.set(
      index,
      setTimeout(() => {
        this.restarts.delete(index);
        this.replaceWorker(index, deaths).catch(this.options.onError);
      }, pauseMs),
    );
    this.recoverLost().catch(this.options.onError);
  }

  /** Whatever keeps the worker from being started, it is tried again. */
  private async replaceWorker(index: number, deaths: number): Promise<void> {
    try {
      const isOnRecord = await this.isOnRecord();
      if (this.stopRequests > 0) return;
      if (!isOnRecord) return this.stop(); // the store was removed: nobody could stop it later
      await this.startWorker(index, deaths);
      if (this.missing.delete(index)) this.tellWhatIsMissing();
    } catch (error) {
      if (this.stopRequests > 0) return;
      this.startAgain(index, deaths + 1);
      this.missing.set(index, error instanceof QueuectlError ? error.fact : String(error));
      this.tellWhatIsMissing();
      throw error;
    }
  }

  /** Keeps its record, in which others see why workers are missing; that is a sign of life, too, which workers give else. */
  private tellWhatIsMissing(): void {
    const tell = async () => {
      if (!(await this.isOnRecord())) return; // it must not bring back a store that was removed
      const [reason] = this.missing.values();
      const missing = reason === undefined ? {} : { missing: { count: this.missing.size, reason } };
      await this.options.store.workers.register({ ...this.record, ...missing });
    };
    this.told = this.told.then(tell).catch(this.options.onError);
  }

  private async isOnRecord(): Promise<boolean> {
    const { records } = await this.options.store.workers.list();
    return records.some(({ id }) => id === this.id);
  }
}

const STUCK = 'See how busy the machine is, and whether the limit of processes (`ulimit -u`) leaves it enough threads.';

function notForked(error: unknown): QueuectlError {
  const reason = storageError(error, 'start a worker process');
  return reason instanceof QueuectlError ? reason : new QueuectlError('STORAGE', String(error));
}
