/** Whatever is done through whatever handles, a store is indistinguishable from a plain queue in memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type DeadEntry, deadEntryOf } from '../../../db/model/deadEntry.js';
import { type Claim, JOB_STATES, type Job } from '../../../db/model/job.js';
import { type Config, DEFAULT_CONFIG } from '../../../db/model/settings.js';
import { QueuectlError } from '../../../utils/errors.js';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { TestStore } from '../../helpers/testStore.js';
import type { Place, StoreKind } from './kinds.js';
import { type Model, oldestFirst, performOnModel, performOnStore, type Verb } from './model.js';

/** A verb without the time at which it happens; a claim is one of those that were ever made of the job, or none of them. */
type TimelessVerb =
  | { readonly verb: 'create'; readonly id: string; readonly priority: number | null; readonly delay: number }
  | { readonly verb: 'claim'; readonly worker: string }
  | {
      readonly verb: 'complete' | 'release' | 'bury' | 'reschedule';
      readonly id: string;
      readonly claimsAgo: number;
      readonly delay: number;
    }
  | { readonly verb: 'retry'; readonly id: string };

type Plan =
  | { readonly do: 'verb'; readonly on: number; readonly verb: TimelessVerb }
  | {
      readonly do: 'transaction';
      readonly on: number;
      readonly verbs: readonly TimelessVerb[];
      readonly fails: boolean;
    }
  | { readonly do: 'configure'; readonly on: number; readonly value: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'look' | 'reopen' | 'abandon' | 'own'; readonly on: number };

/** What only one kind of store has. */
export interface Own {
  /** Done to a handle amid everything else; nobody sees a difference. */
  readonly step: (store: TestStore) => Promise<void>;
  /** Looks at what is left when every handle is closed. */
  readonly atRest: (place: Place, jobs: readonly Job[], dead: readonly DeadEntry[]) => void;
}

const ROLES = ['worker', 'command', 'supervisor'] as const;
const on = fc.nat(ROLES.length - 1);
const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'ü"\\');
const delay = fc.nat(3);

const verb: fc.Arbitrary<TimelessVerb> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      verb: fc.constant('create'),
      id,
      priority: fc.option(fc.integer({ min: -1, max: 1 })),
      delay,
    }),
  },
  { weight: 5, arbitrary: fc.record({ verb: fc.constant('claim'), worker: fc.constantFrom('w1', 'w2') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      verb: fc.constantFrom('complete', 'release', 'bury', 'reschedule'),
      id,
      claimsAgo: fc.constantFrom(0, 0, 0, 1),
      delay,
    }),
  },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('retry'), id }) },
);
/** Not buried and brought back at once: the place among jobs of the same millisecond then depends on who looks. */
const verbs = fc
  .array(verb, { minLength: 1, maxLength: 4 })
  .filter(
    (all) => !all.some((one) => one.verb === 'retry' && all.some((it) => it.verb === 'bury' && it.id === one.id)),
  );

const planOf = (own: Own | undefined): fc.Arbitrary<Plan> =>
  fc.oneof(
    { weight: 10, arbitrary: fc.record({ do: fc.constant('verb'), on, verb }) },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('transaction'), on, verbs, fails: fc.constantFrom(false, false, true) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('configure'), on, value: fc.nat(9) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('pass'), ms: fc.constantFrom(-2, 1, 2, 3_600_000) }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('look', 'reopen', 'abandon', ...(own ? ['own' as const] : [])), on }),
    },
  );

/**
 * @param runs how many lists of plans are played out
 * @param own of this kind, if that is to be tried, too
 */
export function describeProperty(kind: StoreKind, runs: number, own?: Own): void {
  describe(`${kind.name}: whatever is done to it`, () => {
    test('it is a plain queue', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(planOf(own), { minLength: 5, maxLength: 60, size: 'max' }), (plans) =>
          playOut(kind.makePlace(), plans, own),
        ),
        { numRuns: runs, endOnFailure: false },
      );
    });
  });
}

async function playOut(place: Place, plans: readonly Plan[], own: Own | undefined): Promise<void> {
  let now = T0;
  const open = (index: number) =>
    place.open({ clock: () => now, role: ROLES[index] ?? 'command', isAlive: () => false });
  const stores = ROLES.map((_, index) => open(index));
  const abandoned: TestStore[] = [];
  const reader = open(1);
  let model: Model = [];
  let config: Config = DEFAULT_CONFIG;
  /** Of each job, those made last first. */
  const claims = new Map<string, Claim[]>();
  let made = 0;

  function atTime(timeless: TimelessVerb): Verb {
    switch (timeless.verb) {
      case 'create': {
        const { id, priority, delay } = timeless;
        const job = pendingJob({
          id,
          created_at: now,
          run_at: now + delay,
          ...(priority === null ? {} : { priority }),
        });
        return { verb: 'create', job: Object.assign(job, { colour: { of: id } }) };
      }
      case 'claim':
        made += 1;
        return { ...timeless, claimId: `claim-${made}`, now };
      case 'retry':
        return { ...timeless, now };
      default: {
        const { id, claimsAgo, delay } = timeless;
        const claim = claims.get(id)?.[claimsAgo] ?? { id, worker_id: 'w1' };
        return timeless.verb === 'reschedule'
          ? { verb: timeless.verb, claim, runAt: now + delay, now }
          : { verb: timeless.verb, claim, now };
      }
    }
  }

  async function together(verbs: readonly Verb[], run: () => Promise<unknown[]>): Promise<void> {
    const results: unknown[] = [];
    let next = model;
    for (const verb of verbs) {
      const { after, result } = performOnModel(next, verb);
      results.push(result);
      next = after;
    }
    if (results.includes('taken')) {
      await assert.rejects(run(), (error) => error instanceof QueuectlError && error.code === 'DUPLICATE_ID');
      return;
    }
    assert.deepEqual(await run(), results);
    model = next;
    for (const job of model) {
      if (job.state !== 'processing') continue;
      const before = claims.get(job.id) ?? [];
      if (before[0]?.claim_id !== job.claim_id) claims.set(job.id, [job, ...before]);
    }
  }

  const living = () => oldestFirst(model.filter(({ state }) => state !== 'dead'));
  const dead = () => model.flatMap((job) => (job.state === 'dead' ? [deadEntryOf(job)] : []));

  async function look({ jobs, dlq, config: settings, store }: TestStore): Promise<void> {
    const alive = living();
    assert.deepEqual(await jobs.listJobs(), alive);
    const counts = await jobs.countJobs();
    for (const state of JOB_STATES) assert.equal(counts[state], model.filter((job) => job.state === state).length);
    assert.deepEqual(await dlq.listDLQ(), dead());
    assert.deepEqual(await settings.getAllConfig(), config);
    const waiting = (job: Job) => (job.state === 'pending' || job.state === 'failed') && job.run_at <= now;
    const runnable = await store.read((reader) => reader.runnable({ now, limit: 9 }));
    assert.deepEqual(
      runnable.map(({ record }) => record),
      alive.filter(waiting).sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0)),
    );
  }

  async function carryOut(plan: Exclude<Plan, { do: 'pass' }>): Promise<void> {
    const store = stores[plan.on] ?? reader;
    switch (plan.do) {
      case 'verb': {
        const verb = atTime(plan.verb);
        return together([verb], async () => [await performOnStore(store, verb)]);
      }
      case 'transaction': {
        const verbs = plan.verbs.map(atTime);
        const run = (fails: boolean) =>
          store.transaction(async (repositories) => {
            const results: unknown[] = [];
            for (const verb of verbs) results.push(await performOnStore(repositories, verb));
            if (fails) throw new RangeError('changed its mind');
            return results;
          });
        if (plan.fails) {
          await assert.rejects(run(true), (error) => error instanceof RangeError || error instanceof QueuectlError);
          return;
        }
        return together(verbs, () => run(false));
      }
      case 'configure':
        await store.config.setConfig('max_retries', plan.value);
        config = { ...config, max_retries: plan.value };
        return;
      case 'look':
        return look(store);
      case 'own':
        return own?.step(store);
      case 'reopen':
        assert.equal(await store.close(), undefined);
        stores[plan.on] = open(plan.on);
        return;
      case 'abandon':
        abandoned.push(store);
        stores[plan.on] = open(plan.on);
    }
  }

  try {
    for (const plan of plans) {
      if (plan.do === 'pass') now += plan.ms;
      else await carryOut(plan);
      await look(reader);
    }
  } finally {
    for (const store of [...stores, reader, ...abandoned]) assert.equal(await store.close(), undefined);
  }
  own?.atRest(place, living(), dead());
  const last = open(1);
  await look(last);
  await last.close();
}
