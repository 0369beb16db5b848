/** What tests do to a store, as data: so that another process can do it, and a generator can make it up. */

import type { PendingJob } from '../../../../db/model/job.js';
import type { ConfigKey } from '../../../../db/model/settings.js';
import type { Repositories } from '../../../../db/repositories/index.js';
import type { FileTestStore, TestStore } from '../../../helpers/testStore.js';

export type Verb =
  | { readonly verb: 'create'; readonly job: PendingJob }
  | { readonly verb: 'claim'; readonly worker: string; readonly now: number }
  | {
      readonly verb: 'complete' | 'release' | 'bury';
      readonly id: string;
      readonly worker: string;
      readonly now: number;
    }
  | {
      readonly verb: 'reschedule';
      readonly id: string;
      readonly worker: string;
      readonly runAt: number;
      readonly now: number;
    }
  | { readonly verb: 'retry'; readonly id: string; readonly now: number };

export type Step =
  | Verb
  | { readonly verb: 'transaction'; readonly verbs: readonly Verb[] }
  | { readonly verb: 'configure'; readonly key: ConfigKey; readonly value: number }
  | { readonly verb: 'list' }
  | { readonly verb: 'fold' }
  | { readonly verb: 'repair' }
  | { readonly verb: 'close' };

/** @returns what the store's verb returned */
export async function perform(store: FileTestStore, step: Step): Promise<unknown> {
  switch (step.verb) {
    case 'transaction':
      return store.transaction(
        async (repositories) => {
          const results: unknown[] = [];
          for (const verb of step.verbs) results.push(await performVerb(repositories, verb));
          return results;
        },
        step.verbs.some(({ verb }) => verb === 'create' || verb === 'retry') ? 'on disk' : 'soon',
      );
    case 'configure':
      return store.config.setConfig(step.key, step.value);
    case 'list':
      return store.jobs.listJobs();
    case 'fold':
      return store.store.fold(0);
    case 'close':
      return store.close();
    case 'repair':
      return repair(store);
    default:
      return performVerb(store, step);
  }
}

/** @returns the names of what was wrong */
async function repair(store: FileTestStore): Promise<string[]> {
  const repaired: string[] = [];
  for await (const check of store.store.check()) {
    if (check.state === 'ok') continue;
    repaired.push(check.name);
    await check.repair?.();
  }
  return repaired;
}

export async function performVerb({ jobs, dlq }: Repositories, step: Verb): Promise<unknown> {
  switch (step.verb) {
    case 'create':
      return jobs.createJob(step.job);
    case 'claim':
      return jobs.claimNext(step.worker, step.now, claimIdOf(step.worker));
    case 'retry':
      return dlq.retryFromDLQ(step.id, step.now);
  }
  const claim = { id: step.id, worker_id: step.worker, claim_id: claimIdOf(step.worker) };
  switch (step.verb) {
    case 'complete':
      return jobs.markCompleted(claim, step.now);
    case 'release':
      return jobs.release(claim, step.now);
    case 'bury':
      return dlq.moveToDLQ(claim, 'exit code 1', step.now);
    case 'reschedule':
      return jobs.reschedule(claim, { runAt: step.runAt, error: 'exit code 1' }, step.now);
  }
}

/** All that a store holds, as anybody can ask for it. */
export async function contentsOf({ jobs, dlq, config }: Pick<TestStore, 'jobs' | 'dlq' | 'config'>) {
  return {
    jobs: await jobs.listJobs(),
    dead: await dlq.listDLQ(),
    config: await config.getAllConfig(),
  };
}

export type Contents = Awaited<ReturnType<typeof contentsOf>>;

/** All claims of a worker here have the same, so that what settles one need not be told it. */
export const claimIdOf = (worker: string) => `claim of ${worker}`;
