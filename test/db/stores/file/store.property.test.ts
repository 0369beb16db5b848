/** Whatever is done through whatever handles, a store is indistinguishable from a plain queue in memory. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { JOB_STATES } from '../../../../db/model/job.js';
import { type Config, DEFAULT_CONFIG } from '../../../../db/model/settings.js';
import { QueuectlError } from '../../../../utils/errors.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { type FileTestStore, fileStore } from '../../../helpers/testStore.js';
import { skipFsync } from './fsCalls.js';
import { emptyModel, oldestFirst, performOnModel } from './modelStore.js';
import { performVerb, type Verb } from './steps.js';

/** A verb without the time at which it happens. */
type TimelessVerb =
  | { readonly verb: 'create'; readonly id: string; readonly priority: number | null; readonly delay: number }
  | { readonly verb: 'claim'; readonly worker: string }
  | {
      readonly verb: 'complete' | 'release' | 'bury' | 'reschedule';
      readonly id: string;
      readonly worker: string;
      readonly delay: number;
    }
  | { readonly verb: 'retry'; readonly id: string };

type Plan =
  | { readonly do: 'verb'; readonly on: number; readonly verb: TimelessVerb }
  | { readonly do: 'transaction'; readonly on: number; readonly verbs: readonly TimelessVerb[] }
  | { readonly do: 'configure'; readonly on: number; readonly value: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'look' | 'fold' | 'reopen' | 'abandon'; readonly on: number };

const HANDLES = 3;
const on = fc.nat(HANDLES - 1);
const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'ü"\\');
const worker = fc.constantFrom('w1', 'w2');
const priority = fc.option(fc.integer({ min: -1, max: 1 }));
const delay = fc.nat(3);
const settling = fc.constantFrom('complete', 'release', 'bury', 'reschedule');

const verb: fc.Arbitrary<TimelessVerb> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ verb: fc.constant('create'), id, priority, delay }) },
  { weight: 5, arbitrary: fc.record({ verb: fc.constant('claim'), worker }) },
  { weight: 6, arbitrary: fc.record({ verb: settling, id, worker, delay }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('retry'), id }) },
);
/** Not buried and brought back at once: the place among jobs of the same millisecond then depends on who looks. */
const verbs = fc
  .array(verb, { minLength: 1, maxLength: 4 })
  .filter(
    (all) => !all.some((one) => one.verb === 'retry' && all.some((it) => it.verb === 'bury' && it.id === one.id)),
  );

const plan: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('verb'), on, verb }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('transaction'), on, verbs }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('configure'), on, value: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass'), ms: fc.constantFrom(-2, 1, 2, 3_600_000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('look', 'fold', 'reopen', 'abandon'), on }) },
);

function atTime(timeless: TimelessVerb, now: number): Verb {
  switch (timeless.verb) {
    case 'create': {
      const { id, priority, delay } = timeless;
      const job = pendingJob({ id, created_at: now, run_at: now + delay, ...(priority === null ? {} : { priority }) });
      const unknown = { colour: { of: id } };
      return { verb: 'create', job: { ...job, ...unknown } };
    }
    case 'reschedule':
      return { ...timeless, verb: 'reschedule', runAt: now + timeless.delay, now };
    case 'complete':
    case 'release':
    case 'bury':
      return { ...timeless, verb: timeless.verb, now };
    default:
      return { ...timeless, now };
  }
}

let restore: () => void;
before(() => {
  restore = skipFsync();
});
after(() => restore());

test('a store is a plain queue', async () => {
  const root = tempStore();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(plan, { minLength: 5, maxLength: 60, size: 'max' }), async (plans) => {
      runs += 1;
      await playOut(join(root, String(runs)), plans);
    }),
    { numRuns: 60, endOnFailure: false },
  );
});

const ROLES = ['worker', 'command', 'supervisor'] as const;

async function playOut(dir: string, plans: readonly Plan[]): Promise<void> {
  let now = T0;
  const open = (index: number) => fileStore(dir, { clock: () => now, role: ROLES[index % ROLES.length] ?? 'command' });
  const stores = Array.from({ length: HANDLES }, (_, index) => open(index));
  const abandoned: FileTestStore[] = [];
  const reader = fileStore(dir);
  let model = emptyModel;
  let config: Config = DEFAULT_CONFIG;

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
    } else {
      assert.deepEqual(await run(), results);
      model = next;
    }
  }

  async function look({ jobs, dlq, config: settings }: FileTestStore): Promise<void> {
    const expected = oldestFirst(model.jobs);
    assert.deepEqual(await jobs.listJobs(), expected);
    const counts = await jobs.countJobs();
    for (const state of JOB_STATES) {
      const found = state === 'dead' ? model.dead.length : expected.filter((job) => job.state === state).length;
      assert.equal(counts[state], found);
    }
    assert.deepEqual(await dlq.listDLQ(), model.dead);
    assert.deepEqual(await settings.getAllConfig(), config);
  }

  async function carryOut(plan: Exclude<Plan, { do: 'pass' }>): Promise<void> {
    const store = stores[plan.on] as FileTestStore; // a plan names one that exists
    switch (plan.do) {
      case 'verb': {
        const verb = atTime(plan.verb, now);
        return together([verb], async () => [await performVerb(store, verb)]);
      }
      case 'transaction': {
        const verbs = plan.verbs.map((verb) => atTime(verb, now));
        return together(verbs, () =>
          store.transaction(async (repositories) => {
            const results: unknown[] = [];
            for (const verb of verbs) results.push(await performVerb(repositories, verb));
            return results;
          }),
        );
      }
      case 'configure':
        await store.config.setConfig('max_retries', plan.value);
        config = { ...config, max_retries: plan.value };
        return;
      case 'look':
        return look(store);
      case 'fold':
        return store.store.fold(0);
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
  checkFiles(dir, oldestFirst(model.jobs), model.dead);
}

/** At rest the files alone tell everything, a record a line. */
function checkFiles(dir: string, jobs: readonly object[], dead: readonly object[]): void {
  const path = join(dir, 'journal.ndjson');
  if (!fs.existsSync(path)) {
    assert.deepEqual([...jobs, ...dead], []);
    return;
  }
  assert.equal(fs.readFileSync(path, 'utf8').split('\n').length, 2);
  for (const [file, records] of [
    ['queue.json', jobs],
    ['dlq.json', dead],
  ] as const) {
    const text = fs.readFileSync(join(dir, file), 'utf8');
    assert.deepEqual(JSON.parse(text), records);
    assert.equal(text.split('\n').length, records.length === 0 ? 2 : records.length + 3);
  }
}
