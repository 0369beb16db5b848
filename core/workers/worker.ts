/**
 * One worker: claims jobs for its free slots, runs them, settles them.
 *
 * Promise: at any moment it holds at most `concurrency` jobs, each of them in the store as its own; it ends only when it
 * holds none, or when the store can't be written while it stops (then its jobs are recovered like a dead worker's).
 *
 * How: settle what ended and claim for the free slots in one transaction; then sleep until a command ends, the store
 * changes, the next `run_at` comes, or `worker_idle_delay` has passed.
 */
import { attemptNumber, type ProcessingJob } from '../../db/model/job.js';
import type { Outcome } from '../../db/model/lifecycle.js';
import type { Store } from '../../db/store.js';
import { monotonicMs } from '../../utils/clock.js';
import { QueuectlError } from '../../utils/errors.js';
import { Latch } from '../../utils/latch.js';
import type { JobProcessor } from '../jobProcessor.js';
import type { EndedAttempt, Turn } from '../queue/turn.js';
import type { QueueManager } from '../queueManager.js';
import { outputFile } from '../run/outputs.js';
import type { RunDirectory } from '../run/runDirectory.js';
import { isAlive } from './liveness.js';
import type { JobEvent } from './messages.js';
import { recoverLost } from './recovery.js';

/** The pause after the store refused a transaction (a full disk, say); it grows up to the second figure. */
const PAUSE_MS = [500, 10_000] as const;
/** It looks for workers that died at least so often; their own supervisor notices at once, if it lives. */
const RECOVERY_MS = 4000;

export interface WorkerOptions {
  readonly id: string;
  /** How many jobs it runs at once. */
  readonly concurrency: number;
  readonly store: Store;
  readonly queue: QueueManager;
  readonly run: RunDirectory;
  readonly processor: JobProcessor;
  readonly onEvent?: (event: JobEvent) => void;
  /** Told when the store refuses a transaction; the worker waits and tries again. */
  readonly onError: (error: QueuectlError) => void;
}

/** Holds a claimed job and, once it has begun, its command. */
interface Slot {
  readonly number: number;
  /** Ends the command. */
  end?: () => Promise<void>;
}

export class Worker {
  private readonly news = new Latch();
  private readonly running = new Map<string, Slot>();
  private ended: EndedAttempt[] = [];
  private stops: 'no' | 'when the jobs have ended' | 'now' = 'no';
  /** What kept the last command from being started, and would keep every other one. */
  private obstacle: QueuectlError | undefined;
  private recoveryDueAt = 0;
  private hasLooked = false;
  private unwatch: (() => void) | undefined;

  constructor(private readonly options: WorkerOptions) {}

  /** Lets the current jobs finish and claims no others. */
  stop(): void {
    if (this.stops === 'no') this.stops = 'when the jobs have ended';
    this.news.set();
  }

  /** Ends the current jobs and gives them back. */
  stopNow(): void {
    this.stops = 'now';
    for (const { end } of this.running.values()) end?.();
    this.news.set();
  }

  /** Works until it is stopped. */
  async run(): Promise<void> {
    try {
      let troubles = 0;
      while (this.hasWork()) {
        try {
          await this.work();
          if (this.watchesAsNeeded() && this.ended.length === 0 && this.hasWork()) await this.sleep();
          troubles = 0;
        } catch (error) {
          if (!(error instanceof QueuectlError)) throw error;
          if (troubles === 0) this.options.onError(error);
          if (this.stops !== 'no' && this.running.size === 0) return; // what has ended is recovered by others
          await this.news.wait(Math.min(PAUSE_MS[0] * 2 ** troubles, PAUSE_MS[1]));
          troubles += 1;
        }
      }
    } finally {
      this.unwatch?.();
    }
  }

  private hasWork(): boolean {
    return this.stops === 'no' || this.running.size > 0 || this.ended.length > 0;
  }

  /**
   * Watches the store as long as a slot is free. Without one a change is no news until the next settle, and to be woken
   * by every commit of every worker would take a good part of the time that a short job takes.
   *
   * @returns false when it has just begun: there may have been a change before
   */
  private watchesAsNeeded(): boolean {
    const needed = this.running.size < this.options.concurrency && this.stops === 'no';
    if (needed === (this.unwatch !== undefined)) return true;
    if (needed) {
      this.unwatch = this.options.store.subscribe(() => this.news.set());
      return false;
    }
    this.unwatch?.();
    this.unwatch = undefined;
    return true;
  }

  private async work(): Promise<void> {
    await this.recoverNowAndThen();
    const { obstacle } = this;
    this.obstacle = undefined;
    const claims = this.stops === 'no' && obstacle === undefined;
    const free = claims ? this.options.concurrency - this.running.size : 0;
    if (this.ended.length === 0 && (free === 0 || !(await this.anyRunnable()))) return;
    const ended = this.ended;
    this.ended = [];
    let turn: Turn;
    try {
      turn = await this.options.queue.takeTurn(this.options.id, ended, free);
    } catch (error) {
      this.ended = [...ended, ...this.ended];
      throw error;
    }
    for (const { job, ...settled } of turn.settled) {
      this.options.onEvent?.({ kind: 'job ended', id: job.id, ...settled });
    }
    await Promise.all(turn.claimed.map((job) => this.start(job)));
    if (obstacle !== undefined) throw obstacle;
  }

  private async anyRunnable(): Promise<boolean> {
    const runAt = await this.options.queue.nextRunAt();
    return runAt !== undefined && runAt <= this.options.store.clock();
  }

  private async start(job: ProcessingJob): Promise<void> {
    const slot: Slot = { number: this.lowestFreeSlot() };
    this.running.set(job.id, slot);
    try {
      const { run: directory, processor, queue, id } = this.options;
      const { job_timeout, kill_grace, log_max_bytes } = await queue.getAllConfig();
      const graceMs = kill_grace * 1000;
      const run = {
        command: job.command,
        ...(job.cwd === undefined ? {} : { cwd: job.cwd }),
        env: { QUEUECTL_JOB_ID: job.id, QUEUECTL_ATTEMPT: String(job.attempts) },
        logFile: outputFile(directory.logs, job.id, attemptNumber(job)),
        groupNote: directory.groupNote(id, slot.number),
        guard: directory.guard(id),
      };
      const limits = { timeoutSeconds: job.timeout ?? job_timeout, graceMs, maxOutputBytes: log_max_bytes };
      const { ended, end } = processor.process(run, limits);
      slot.end = () => end(graceMs);
      if (this.stops === 'now') slot.end(); // it was told so while the command began
      this.options.onEvent?.({ kind: 'job started', id: job.id, attempt: job.attempts });
      ended.then((outcome) => this.finish(job, outcome));
    } catch (error) {
      if (!(error instanceof QueuectlError)) throw error;
      this.finish(job, { kind: 'not started', reason: error.fact });
    }
  }

  private lowestFreeSlot(): number {
    const taken = new Set([...this.running.values()].map(({ number }) => number));
    let number = 1;
    while (taken.has(number)) number += 1;
    return number;
  }

  private finish(job: ProcessingJob, outcome: Outcome): void {
    this.running.delete(job.id);
    const succeeded = outcome.kind === 'exited' && outcome.code === 0;
    const isHindered = outcome.kind === 'not started' && outcome.hindrance === true;
    if (isHindered) this.obstacle = new QueuectlError('STORAGE', `a job could not be started: ${outcome.reason}`);
    const isGivenBack = this.stops === 'now' && !succeeded;
    this.ended.push({ job, outcome: isGivenBack ? { kind: 'given back' } : outcome });
    this.news.set();
  }

  private async sleep(): Promise<void> {
    const { store, queue, concurrency } = this.options;
    let sleepMs: number = Math.min(await queue.getConfig('worker_idle_delay'), RECOVERY_MS);
    if (this.stops === 'no' && this.running.size < concurrency) {
      const runAt = await queue.nextRunAt();
      if (runAt !== undefined) sleepMs = Math.min(sleepMs, Math.max(runAt - store.clock(), 0));
    }
    await this.news.wait(sleepMs);
  }

  /** Looks at the records of who works on the store; after the first time that is cheap, as it reads no queue. */
  private async recoverNowAndThen(): Promise<void> {
    const now = monotonicMs();
    if (now < this.recoveryDueAt) return;
    this.recoveryDueAt = now + Math.min(2 * (await this.options.queue.getConfig('worker_idle_delay')), RECOVERY_MS);
    const { id, store, queue, run } = this.options;
    const { records } = await store.workers.list();
    const own = records.find((record) => record.id === id);
    // The store was removed, and nobody could stop it later; or it was taken for dead, and none of its commands begins.
    if (own === undefined || !run.hasEntered(id)) this.stop();
    for (const alive of [id, own?.supervisor_id ?? id]) await store.workers.heartbeat(alive);
    if (this.hasLooked && records.every(isAlive)) return;
    await recoverLost(store, queue, run);
    this.hasLooked = true;
  }
}
