/** The queue as the front doors use it: what a job is when it enters, who gets it, and what becomes of it. */
import type { DeadEntry } from '../db/model/deadEntry.js';
import { checkJobInput, type JobInput } from '../db/model/input.js';
import type { Job, JobState, PendingJob, ProcessingJob } from '../db/model/job.js';
import type { Outcome } from '../db/model/lifecycle.js';
import { type Config, type ConfigKey, findConfigFault } from '../db/model/settings.js';
import { ConfigRepo } from '../db/repositories/configRepo.js';
import { type Repositories, repositoriesIn, repositoriesOf } from '../db/repositories/index.js';
import type { Store } from '../db/store.js';
import { QueuectlError } from '../utils/errors.js';
import { randomHex } from '../utils/random.js';
import { quote } from '../utils/text.js';
import { type Circumstances, type EndedAttempt, type SettledAs, settle, type Turn, takeTurn } from './queue/turn.js';
import { checkLength } from './run/commandLength.js';

export class QueueManager {
  private readonly repositories: Repositories;
  private readonly config: ConfigRepo;

  constructor(
    private readonly store: Store,
    private readonly random: () => number = Math.random,
  ) {
    this.repositories = repositoriesOf(store);
    this.config = new ConfigRepo(store.settings);
  }

  /**
   * Adds one job.
   *
   * @param input as it came; it is checked here
   * @throws QueuectlError INVALID: it is no job, or one that cannot run; DUPLICATE_ID: the id is taken
   */
  async enqueue(input: JobInput): Promise<PendingJob> {
    const [job] = await this.add([checkNewJob(input)]);
    if (job === undefined) throw new Error('one job in, one job out');
    return job;
  }

  /**
   * Adds jobs in one transaction: all or none.
   *
   * @throws QueuectlError INVALID, with the index: as `enqueue` says; DUPLICATE_ID: an id is taken, or occurs twice
   */
  async enqueueAll(inputs: readonly JobInput[]): Promise<PendingJob[]> {
    return this.add(
      inputs.map((input, index) => {
        try {
          return checkNewJob(input);
        } catch (error) {
          throw error instanceof QueuectlError ? error.with({ data: { index } }) : error;
        }
      }),
    );
  }

  private async add(inputs: readonly JobInput[]): Promise<PendingJob[]> {
    const defaultRetries = await this.config.getConfig('max_retries');
    const now = this.store.clock();
    const jobs = inputs.map((input) => ({
      job: newJob(input, defaultRetries, now),
      hasNewId: input.id === undefined,
    }));
    await this.repositories.jobs.createJobs(jobs);
    return jobs.map(({ job }) => job);
  }

  /** Claims the next runnable job for a worker. */
  getNextJob(workerId: string): Promise<ProcessingJob | undefined> {
    return this.repositories.jobs.claimNext(workerId, this.store.clock());
  }

  /**
   * Settles the attempts that ended and claims jobs for the free slots, in one transaction.
   *
   * @param free how many jobs to claim at most
   */
  async takeTurn(workerId: string, ended: readonly EndedAttempt[], free: number): Promise<Turn> {
    const circumstances = await this.circumstances();
    return this.store.transaction(
      (transaction) => takeTurn(repositoriesIn(transaction), workerId, ended, free, circumstances()),
      'soon',
    );
  }

  /**
   * Records how the attempt of a claimed job ended: complete it, retry it later, or bury it.
   *
   * @returns what was done; `refused` when the job is not held by this claim any more
   */
  async handleRetry(job: ProcessingJob, outcome: Outcome): Promise<SettledAs> {
    const circumstances = await this.circumstances();
    const { as } = await this.store.transaction(
      (transaction) => settle(repositoriesIn(transaction), { job, outcome }, circumstances()),
      'soon',
    );
    return as;
  }

  /** What a turn goes by; the time is that at which it is asked for. */
  private async circumstances(): Promise<() => Circumstances> {
    const config = await this.config.getAllConfig();
    return () => ({ config, now: this.store.clock(), random: this.random });
  }

  /** The job with this id, dead or alive; undefined when there is none. */
  get(id: string): Promise<Job | undefined> {
    return this.repositories.jobs.getJob(id);
  }

  /** The jobs, oldest first: all but the dead, or those of one state. */
  list(state?: JobState): Promise<Job[]> {
    return this.repositories.jobs.listJobs(state);
  }

  counts(): Promise<Record<JobState, number>> {
    return this.repositories.jobs.countJobs();
  }

  /** See `Reader.nextRunAt`. */
  nextRunAt(): Promise<number | undefined> {
    return this.repositories.jobs.nextRunAt();
  }

  /** The dead jobs, in the order they were buried. */
  listDLQ(): Promise<DeadEntry[]> {
    return this.repositories.dlq.listDLQ();
  }

  /**
   * Brings a dead job back to the queue.
   *
   * @throws QueuectlError NOT_FOUND: no dead job has this id
   */
  async retryFromDLQ(id: string): Promise<PendingJob> {
    // Looked for first: a change would make a store that is not there.
    const isDead = (await this.repositories.jobs.getJob(id))?.state === 'dead';
    const job = isDead ? await this.repositories.dlq.retryFromDLQ(id, this.store.clock()) : undefined;
    if (job !== undefined) return job;
    throw new QueuectlError(
      'NOT_FOUND',
      `no job ${quote(id)} in the dead letter queue`,
      'List its jobs with `queuectl dlq-list`.',
      { data: { id } },
    );
  }

  getConfig(key: ConfigKey): Promise<number> {
    return this.config.getConfig(key);
  }

  getAllConfig(): Promise<Config> {
    return this.config.getAllConfig();
  }

  /**
   * Changes a setting.
   *
   * @throws QueuectlError INVALID: no number, or out of range
   */
  async setConfig(key: ConfigKey, value: number): Promise<void> {
    const fault = findConfigFault(key, value);
    if (fault !== undefined) {
      const fact = `${key} ${fault}, not ${typeof value === 'number' ? value : quote(value)}`;
      throw new QueuectlError('INVALID', fact, 'Nothing was changed.', { data: { field: key } });
    }
    await this.config.setConfig(key, value);
  }
}

/** @throws QueuectlError INVALID */
function checkNewJob(input: JobInput): JobInput {
  const job = checkJobInput(input);
  checkLength(job.command);
  return job;
}

function newJob(input: JobInput, defaultRetries: number, now: number): PendingJob {
  const { id = generateId(now), command, max_retries = defaultRetries, run_at = now, ...rest } = input;
  return {
    id,
    command,
    state: 'pending',
    attempts: 0,
    max_retries,
    run_at,
    created_at: now,
    updated_at: now,
    processing_started_at: null,
    worker_id: null,
    last_error: null,
    ...rest, // what else may be given
  };
}

/** What the ids of this process have in common, and the number of the next, which is random at first. */
const series = randomHex(8);
let nextNumber = Math.floor(Math.random() * 2 ** 32);

/**
 * An id that sorts by time and that nobody else will make: milliseconds, then 32 random bits and a number. (64 random bits for
 * each take a twentieth of the time that a long list of jobs takes.)
 */
function generateId(now: number): string {
  nextNumber = (nextNumber + 1) % 2 ** 32;
  return `${now.toString(36)}-${series}${nextNumber.toString(16).padStart(8, '0')}`;
}
