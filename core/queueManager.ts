/** The rules of the queue: what a job is when it enters, who gets it, and what becomes of it. */

import type { JobInput } from '../db/model/input.js';
import type { DeadJob, Job, ListedState, PendingJob, ProcessingJob } from '../db/model/job.js';
import { afterAttempt, type Decision, type Outcome } from '../db/model/lifecycle.js';
import { type Config, type ConfigKey, findConfigFault } from '../db/model/settings.js';
import type { Repositories, Store } from '../db/store.js';
import { type Clock, systemClock } from '../utils/clock.js';
import { QueuectlError } from '../utils/errors.js';
import { randomHex } from '../utils/random.js';
import { quote } from '../utils/text.js';

/** An attempt that ended and is not settled yet. */
export interface EndedAttempt {
  readonly job: ProcessingJob;
  /** How it ended, or `given back` for a job whose attempt is not to count. */
  readonly outcome: Outcome | 'given back';
}

export type SettledAs = Decision['next'] | 'release' | 'refused';

/** What one turn of a worker did. */
export interface Turn {
  readonly claimed: ProcessingJob[];
  /** How each ended attempt was settled, in order; `refused` when the worker no longer owned the job. */
  readonly settled: { readonly job: ProcessingJob; readonly as: SettledAs; readonly error?: string }[];
}

export class QueueManager {
  constructor(
    private readonly store: Store,
    private readonly clock: Clock = systemClock,
    private readonly random: () => number = Math.random,
  ) {}

  /**
   * Adds one job.
   *
   * @throws QueuectlError DUPLICATE_ID: the id is taken
   */
  async enqueue(input: JobInput): Promise<PendingJob> {
    const [job] = await this.enqueueAll([input]);
    if (job === undefined) throw new Error('one job in, one job out');
    return job;
  }

  /**
   * Adds jobs in one transaction: all or none.
   *
   * @throws QueuectlError DUPLICATE_ID: an id is taken, or occurs twice
   */
  async enqueueAll(inputs: readonly JobInput[]): Promise<PendingJob[]> {
    const defaultRetries = await this.store.config.getConfig('max_retries');
    const now = this.clock();
    const jobs = inputs.map((input) => ({
      job: newJob(input, defaultRetries, now),
      hasNewId: input.id === undefined,
    }));
    await this.store.jobs.createJobs(jobs);
    return jobs.map(({ job }) => job);
  }

  /** Claims the next runnable job for a worker. */
  getNextJob(workerId: string): Promise<ProcessingJob | undefined> {
    return this.store.jobs.claimNext(workerId, this.clock());
  }

  /**
   * Settles the attempts that ended and claims jobs for the free slots, in one transaction.
   *
   * @param free how many jobs to claim at most
   */
  async takeTurn(workerId: string, ended: readonly EndedAttempt[], free: number): Promise<Turn> {
    const config = await this.store.config.getAllConfig();
    return this.store.transaction(async (repositories) => {
      const now = this.clock();
      const turn: Turn = { claimed: [], settled: [] };
      for (const { job, outcome } of ended) {
        turn.settled.push(
          outcome === 'given back'
            ? { job, as: (await repositories.jobs.release(job, now)) ? 'release' : 'refused' }
            : { job, ...(await settle(repositories, job, outcome, config, now, this.random())) },
        );
      }
      while (turn.claimed.length < free) {
        const job = await repositories.jobs.claimNext(workerId, now);
        if (job === undefined) break;
        turn.claimed.push(job);
      }
      return turn;
    });
  }

  /**
   * Records how the attempt of a claimed job ended: complete it, retry it later, or bury it.
   *
   * @returns what was done; `refused` when the job's worker no longer owns it
   */
  async handleRetry(job: ProcessingJob, outcome: Outcome): Promise<SettledAs> {
    const config = await this.store.config.getAllConfig();
    const { as } = await this.store.transaction((repositories) =>
      settle(repositories, job, outcome, config, this.clock(), this.random()),
    );
    return as;
  }

  /** The job with this id, in the queue or dead; undefined when there is none. */
  get(id: string): Promise<Job | DeadJob | undefined> {
    return this.store.look(async ({ jobs, dlq }) => (await jobs.getJob(id)) ?? (await dlq.getDead(id)));
  }

  /** The jobs, oldest first; the dead ones too when `dead` is asked for, and only they. */
  list(state?: ListedState): Promise<Job[] | DeadJob[]> {
    return state === 'dead' ? this.store.dlq.listDLQ() : this.store.jobs.listJobs(state);
  }

  counts(): Promise<Record<ListedState, number>> {
    return this.store.look(async ({ jobs, dlq }) => ({ ...(await jobs.countJobs()), dead: await dlq.countDLQ() }));
  }

  listDLQ(): Promise<DeadJob[]> {
    return this.store.dlq.listDLQ();
  }

  /**
   * Brings a dead job back to the queue.
   *
   * @throws QueuectlError NOT_FOUND: no dead job has this id
   */
  async retryFromDLQ(id: string): Promise<PendingJob> {
    const job = await this.store.dlq.retryFromDLQ(id, this.clock());
    if (job !== undefined) return job;
    throw new QueuectlError(
      'NOT_FOUND',
      `no job ${quote(id)} in the dead letter queue`,
      'List its jobs with `queuectl dlq-list`.',
    );
  }

  getConfig(key: ConfigKey): Promise<number> {
    return this.store.config.getConfig(key);
  }

  getAllConfig(): Promise<Config> {
    return this.store.config.getAllConfig();
  }

  /**
   * Changes a setting.
   *
   * @param key as `checkConfigKey` returned it
   * @param text the value as typed
   * @returns the value as stored
   * @throws QueuectlError INVALID: not a number, or out of range
   */
  async setConfig(key: ConfigKey, text: string): Promise<number> {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
    const fault = findConfigFault(key, value);
    if (fault !== undefined || typeof value !== 'number') {
      throw new QueuectlError(
        'INVALID',
        `${key} ${fault}, not ${Number.isFinite(value) ? quote(value) : quote(text)}`,
        'Nothing was changed.',
      );
    }
    await this.store.config.setConfig(key, value);
    return value;
  }
}

function newJob(input: JobInput, defaultRetries: number, now: number): PendingJob {
  return {
    id: input.id ?? generateId(now),
    command: input.command,
    state: 'pending',
    attempts: 0,
    max_retries: input.max_retries ?? defaultRetries,
    run_at: input.run_at ?? now,
    created_at: now,
    updated_at: now,
    processing_started_at: null,
    worker_id: null,
    last_error: null,
    ...(input.priority === undefined ? {} : { priority: input.priority }),
    ...(input.timeout === undefined ? {} : { timeout: input.timeout }),
    ...(input.cwd === undefined ? {} : { cwd: input.cwd }),
  };
}

/** An id that sorts by time and that nobody else will make: milliseconds, then 64 random bits. */
const generateId = (now: number): string => `${now.toString(36)}-${randomHex(16)}`;

async function settle(
  { jobs, dlq }: Repositories,
  job: ProcessingJob,
  outcome: Outcome,
  config: Config,
  now: number,
  random: number,
): Promise<{ as: SettledAs; error?: string }> {
  const decision = afterAttempt(job, outcome, config, now, random);
  switch (decision.next) {
    case 'complete':
      return { as: (await jobs.markCompleted(job, now)) ? 'complete' : 'refused' };
    case 'fail':
      return { as: (await jobs.reschedule(job, decision, now)) ? 'fail' : 'refused', error: decision.error };
    case 'bury':
      return { as: (await dlq.moveToDLQ(job, decision.error, now)) ? 'bury' : 'refused', error: decision.error };
  }
}
