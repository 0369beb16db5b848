/** One turn of a worker, over a transaction: settle the attempts that ended, and claim jobs for the free slots. */
import type { ProcessingJob } from '../../db/model/job.js';
import { afterAttempt, type Decision, type Outcome } from '../../db/model/lifecycle.js';
import type { Config } from '../../db/model/settings.js';
import type { Repositories } from '../../db/repositories/index.js';

/** An attempt that ended and is not settled yet. */
export interface EndedAttempt {
  readonly job: ProcessingJob;
  readonly outcome: Outcome;
}

export type SettledAs = Decision['next'] | 'refused';

/** How an attempt was settled; `refused` when its claim did not hold the job any more. */
export interface Settled {
  readonly job: ProcessingJob;
  readonly as: SettledAs;
  readonly error?: string;
}

/** What one turn of a worker did. */
export interface Turn {
  readonly claimed: ProcessingJob[];
  /** In the order of the attempts. */
  readonly settled: Settled[];
  /** The settings it went by. */
  readonly config: Config;
}

/** What a turn goes by. */
export interface Circumstances {
  readonly config: Config;
  readonly now: number;
  readonly random: () => number;
}

/** @param free how many jobs to claim at most */
export async function takeTurn(
  repositories: Repositories,
  workerId: string,
  ended: readonly EndedAttempt[],
  free: number,
  circumstances: Circumstances,
): Promise<Turn> {
  const turn: Turn = { claimed: [], settled: [], config: circumstances.config };
  for (const attempt of ended) turn.settled.push(await settle(repositories, attempt, circumstances));
  while (turn.claimed.length < free) {
    const job = await repositories.jobs.claimNext(workerId, circumstances.now);
    if (job === undefined) break;
    turn.claimed.push(job);
  }
  return turn;
}

/** Records what follows from the end of an attempt, if its claim still holds the job. */
export async function settle(
  { jobs, dlq }: Repositories,
  { job, outcome }: EndedAttempt,
  { config, now, random }: Circumstances,
): Promise<Settled> {
  const decision = afterAttempt(job, outcome, config, now, random());
  const as = async (isDone: Promise<boolean>) => ((await isDone) ? decision.next : 'refused');
  switch (decision.next) {
    case 'complete':
      return { job, as: await as(jobs.markCompleted(job, now)) };
    case 'release':
      return { job, as: await as(jobs.release(job, now)) };
    case 'fail':
      return { job, as: await as(jobs.reschedule(job, decision, now)), error: decision.error };
    case 'bury':
      return { job, as: await as(dlq.moveToDLQ(job, decision.error, now)), error: decision.error };
  }
}
