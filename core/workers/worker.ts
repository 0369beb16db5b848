/**
 * One worker: claims jobs for its free slots, runs them, settles them.
 *
 * Promise: at any moment it holds at most `concurrency` jobs, each of them in the store as its own; it ends only when it
 * holds none, or when the store can't be written while it stops (then its jobs are recovered like a dead worker's). Before
 * others may take it for dead it ends its commands, as liveness.ts says; when it was taken for dead it ends them at once.
 *
 * How: settle what ended and claim for the free slots in one transaction; then sleep until a command ends, the store
 * changes, the next `run_at` comes, or `worker_idle_delay` has passed.
 */
import { attemptNumber, type ProcessingJob } from '../../db/model/job.js';
import type { Outcome } from '../../db/model/lifecycle.js';
import type { Config } from '../../db/model/settings.js';
import type { Store } from '../../db/store.js';
import { monotonicMs } from '../../utils/clock.js';
import { nextTurn } from '../../utils/delay.js';
import { QueuectlError, refusalOf } from '../../utils/errors.js';
import { Latch } from '../../utils/latch.js';
import type { JobProcessor } from '../jobProcessor.js';
import type { EndedAttempt, Turn } from '../queue/turn.js';
import type { QueueManager } from '../queueManager.js';
import { outputFile } from '../run/outputs.js';
import type { RunDirectory } from '../run/runDirectory.js';
import { isAlive, type Leeway, leeway } from './liveness.js';
import type { JobEvent } from './messages.js';
import { recoverLost } from './recovery.js';

/** The pause after the store refused a transaction (a full disk, say); it grows up to the second figure. */
const PAUSE_MS = [500, 10_000] as const;
/** It looks for workers that died at least so often; their own supervisor notices at once, if it lives. */
const RECOVERY_MS = 4000;
/** It gives a sign of life when it is awake and the last one is so old, */
const SIGN_AFTER_MS = 3000;
/** and so often whatever else it does. An idle worker wakes sooner than that, and once for both. */
const SIGN_EVERY_MS = RECOVERY_MS + 500;

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
  /** How long its command has between SIGTERM and SIGKILL, milliseconds. */
  graceMs: number;
  /** Ends the command. */
  end?: (graceMs: number) => Promise<void>;
  /** Its command was ended, or is to be once it begins, and does not count unless it succeeded. */
  isGivenBack: boolean;
}

export class Worker {
  private readonly news = new Latch();
  /** Set when it is told to stop, or to stop at once. */
  private readonly stopping = new Latch();
  private readonly running = new Map<string, Slot>();
  private ended: EndedAttempt[] = [];
  private stops: 'no' | 'when the jobs have ended' | 'now' = 'no';
  /** What kept the last command from being started, and would keep every other one. */
  private startError: QueuectlError | undefined;
  /** How often in a row that was so, with a pause after each. */
  private hindrances = 0;
  /** When the last sign of life that was given was begun; at first, when it was not on record yet. */
  private signAt = monotonicMs();
  private isGivingSign = false;
  private signTriedAt = 0;
  private signTimer: NodeJS.Timeout | undefined;
  /** Why the last one could not be given. */
  private signError: QueuectlError | undefined;
  private recoveryDueAt = 0;
  private hasLooked = false;
  private unwatch: (() => void) | undefined;

  constructor(private readonly options: WorkerOptions) {}

  /** Lets the current jobs finish and claims no others. */
  stop(): void {
    if (this.stops === 'no') this.stops = 'when the jobs have ended';
    this.news.set();
    this.stopping.set();
  }

  /** Ends the current jobs and gives them back. */
  stopNow(): void {
    this.stops = 'now';
    for (const slot of this.running.values()) giveBack(slot, slot.graceMs);
    this.news.set();
    this.stopping.set();
  }

  /** Works until it is stopped. */
  async run(): Promise<void> {
    await this.keepInTouch();
    try {
      let errors = 0;
      while (this.hasWork()) {
        try {
          await nextTurn(); // a request to stop that came with the end of a job is heeded before the next claim
          await this.work();
          if (this.watchesAsNeeded() && this.ended.length === 0 && this.hasWork()) await this.sleep();
          errors = 0;
        } catch (error) {
          const refusal = refusalOf(error);
          if (errors === 0) this.options.onError(refusal);
          if (this.stops !== 'no' && this.running.size === 0) return; // what has ended is recovered by others
          // Not for news: what it does itself is news to it, such as that a job could not be started.
          await this.stopping.wait(pauseAfter(errors));
          errors += 1;
        }
      }
    } finally {
      clearTimeout(this.signTimer);
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
    const signAgeMs = monotonicMs() - this.signTriedAt;
    if (signAgeMs >= SIGN_AFTER_MS) await this.keepInTouch();
    else this.signTimer ??= setTimeout(() => void this.keepInTouch(), SIGN_EVERY_MS - signAgeMs);
    await this.recoverNowAndThen();
    const { startError } = this;
    this.startError = undefined;
    const claims = this.mayClaim() && startError === undefined;
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
    for (const job of turn.claimed) this.start(job, turn.config);
    if (startError !== undefined) await this.waitOut(startError);
  }

  /** The store has taken back what could not be started; what keeps it may be over soon, or last for hours. */
  private async waitOut(error: QueuectlError): Promise<void> {
    if (this.hindrances === 0) this.options.onError(error);
    await this.stopping.wait(pauseAfter(this.hindrances));
    this.hindrances += 1;
  }

  private mayClaim(): boolean {
    return this.stops === 'no' && this.leeway().claims;
  }

  private async anyRunnable(): Promise<boolean> {
    const runAt = await this.options.queue.nextRunAt();
    return runAt !== undefined && runAt <= this.options.store.clock();
  }

  private start(job: ProcessingJob, { job_timeout, kill_grace, log_max_bytes }: Config): void {
    const slot: Slot = { number: this.lowestFreeSlot(), graceMs: 0, isGivenBack: this.stops === 'now' };
    this.running.set(job.id, slot);
    try {
      const { run: directory, processor, id } = this.options;
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
      const { started, ended, end } = processor.process(run, limits);
      Object.assign(slot, { graceMs, end });
      if (slot.isGivenBack) giveBack(slot, this.leeway().graceMs ?? graceMs); // that was decided before the command began
      this.options.onEvent?.({ kind: 'job started', id: job.id, attempt: job.attempts });
      started.then((isStarted) => {
        if (isStarted) this.hindrances = 0;
      });
      ended.then((outcome) => this.finish(job, outcome));
    } catch (error) {
      this.finish(job, { kind: 'not started', reason: refusalOf(error).fact, hindrance: true });
    }
  }

  private lowestFreeSlot(): number {
    const taken = new Set([...this.running.values()].map(({ number }) => number));
    let number = 1;
    while (taken.has(number)) number += 1;
    return number;
  }

  private finish(job: ProcessingJob, outcome: Outcome): void {
    const isToGoBack = this.running.get(job.id)?.isGivenBack === true;
    this.running.delete(job.id);
    const succeeded = outcome.kind === 'exited' && outcome.code === 0;
    if (outcome.kind === 'not started' && outcome.hindrance === true) {
      this.startError = new QueuectlError('STORAGE', `a job could not be started: ${outcome.reason}`);
    }
    this.ended.push({ job, outcome: isToGoBack && !succeeded ? { kind: 'given back' } : outcome });
    this.news.set();
  }

  private async sleep(): Promise<void> {
    const { store, queue, concurrency } = this.options;
    let sleepMs: number = Math.min(await queue.getConfig('worker_idle_delay'), RECOVERY_MS);
    if (this.mayClaim() && this.running.size < concurrency) {
      const runAt = await queue.nextRunAt();
      if (runAt !== undefined) sleepMs = Math.min(sleepMs, Math.max(runAt - store.clock(), 0));
    }
    if (this.running.size === 0) {
      clearTimeout(this.signTimer); // it wakes before, and Node.js would wake once more
      this.signTimer = undefined;
    }
    await this.news.wait(sleepMs);
  }

  /** Looks at the records of who works on the store; after the first time that is cheap, as it reads no queue. */
  private async recoverNowAndThen(): Promise<void> {
    const now = monotonicMs();
    if (now < this.recoveryDueAt) return;
    this.recoveryDueAt = now + Math.min(2 * (await this.options.queue.getConfig('worker_idle_delay')), RECOVERY_MS);
    const { store, queue, run } = this.options;
    const { records } = await store.workers.list();
    if (this.hasLooked && records.every(isAlive)) return;
    await recoverLost(store, queue, run);
    this.hasLooked = true;
  }

  /** Gives a sign of life. If it has been silent for too long by then, its commands are ended first. */
  private async keepInTouch(): Promise<void> {
    this.endWhatIsTooRisky();
    clearTimeout(this.signTimer);
    this.signTimer = setTimeout(() => void this.keepInTouch(), SIGN_EVERY_MS);
    if (this.isGivingSign) return;
    this.isGivingSign = true;
    this.signTriedAt = monotonicMs();
    try {
      await this.giveSign();
      this.signError = undefined;
    } catch (error) {
      this.signError = refusalOf(error);
    } finally {
      this.isGivingSign = false;
    }
  }

  private async giveSign(): Promise<void> {
    const { id, store, run } = this.options;
    const at = monotonicMs();
    const { records, unreadable } = await store.workers.list();
    const own = [...records, ...unreadable].some((record) => record.id === id);
    // It was taken for dead, and others may run its jobs; or the store was removed, and nobody could stop it later.
    if (!own || !run.hasEntered(id)) return this.stopNow();
    const supervisorId = records.find((record) => record.id === id)?.supervisor_id ?? id;
    for (const alive of new Set([id, supervisorId])) await store.workers.heartbeat(alive);
    const couldClaim = this.mayClaim();
    this.signAt = at;
    if (!couldClaim) this.news.set();
  }

  private endWhatIsTooRisky(): void {
    const { graceMs } = this.leeway();
    const slots = [...this.running.values()].filter(({ isGivenBack }) => !isGivenBack);
    if (graceMs === undefined || slots.length === 0) return;
    const reason = this.signError?.fact ?? 'this process was stopped, or had no time';
    const fact = `no sign of life could be given for long, so the running commands are ended and given back: ${reason}`;
    this.options.onError(new QueuectlError('STORAGE', fact, this.signError?.remedy));
    for (const slot of slots) giveBack(slot, graceMs);
  }

  private leeway(): Leeway {
    const graceMs = Math.max(0, ...[...this.running.values()].map((slot) => slot.graceMs));
    return leeway(monotonicMs() - this.signAt, graceMs);
  }
}

const pauseAfter = (errors: number) => Math.min(PAUSE_MS[0] * 2 ** errors, PAUSE_MS[1]);

function giveBack(slot: Slot, graceMs: number): void {
  slot.isGivenBack = true;
  void slot.end?.(graceMs);
}
