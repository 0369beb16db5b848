/** Small encounters of processes on one store, each gone through by itself. */
import { pendingJob } from '../helpers/jobFactory.js';
import { CLOCK_MS, type Scenario } from './explorer.js';
import type { ModelStep } from './promises.js';

const T = CLOCK_MS;
const create = (id: string): ModelStep => ({
  verb: 'create',
  job: pendingJob({ id, run_at: T, created_at: T, updated_at: T }),
});
const close: ModelStep = { verb: 'close' };
const ATREST = [create('x'), close];

type Actor = Scenario['processes'][number];
/** An enqueue beside workers: a line in the journal. (No worker is on record here; a supervisor never looks for any.) */
const adds = (id: string): Actor => ({ role: 'supervisor', steps: [create(id)] });
/** The same that tidies up before it leaves. */
const addsAndTidies = (id: string): Actor => ({ role: 'supervisor', steps: [create(id), close] });
/** An enqueue with no worker about: a fold. */
const addsByFold = (id: string): Actor => ({ role: 'command', steps: [create(id)] });
/** A worker that claims a job, and folds later: a line in the journal, then a fold. */
const claimsAndFolds = (worker: string): Actor => ({
  role: 'worker',
  late: true,
  steps: [{ verb: 'claim', worker, now: T }, { verb: 'fold' }],
});
const claims = (worker: string): Actor => ({ role: 'command', steps: [{ verb: 'claim', worker, now: T }] });
const configures = (key: 'max_retries' | 'backoff_base', value: number): Actor => ({
  role: 'command',
  steps: [{ verb: 'configure', key, value }],
});
const reads: Actor = { role: 'command', steps: [{ verb: 'list' }, { verb: 'list' }] };
const tidies: Actor = { role: 'command', steps: [close] };

const ALL = Number.POSITIVE_INFINITY;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a fold that adds, and a claim with a fold',
    before: ATREST,
    processes: [addsByFold('a'), claimsAndFolds('w')],
    coarse: true,
    budget: { long: 1 },
    preemptions: [4, ALL],
  },
  {
    name: 'the same, call by call',
    before: ATREST,
    processes: [addsByFold('a'), claimsAndFolds('w')],
    budget: { long: 1 },
    preemptions: [2, 5],
  },
  {
    name: 'two that add and tidy up',
    before: ATREST,
    processes: [addsAndTidies('a'), addsAndTidies('b')],
    alike: true,
    coarse: true,
    budget: { long: 1 },
    preemptions: [2, 4],
  },
  {
    name: 'a fold that was cut short',
    before: [create('x')],
    cutShort: true,
    processes: [claims('w'), addsByFold('a')],
    coarse: true,
    budget: { long: 0 },
    preemptions: [3, 5],
  },
  {
    name: 'a store that is new',
    before: [],
    processes: [adds('a'), addsByFold('b')],
    budget: { long: 1 },
    preemptions: [2, 3],
  },
  {
    name: 'two settings',
    before: ATREST,
    processes: [configures('max_retries', 7), configures('backoff_base', 5)],
    budget: { long: 2 },
    preemptions: [2, ALL],
  },
  {
    name: 'two that add, and a claim',
    before: ATREST,
    processes: [adds('a'), adds('b'), claims('w')],
    coarse: true,
    budget: { long: 2 },
    preemptions: [2, 3],
  },
  {
    name: 'a fold that adds, one that adds, and a claim with a fold',
    before: ATREST,
    processes: [addsByFold('a'), adds('b'), claimsAndFolds('w')],
    coarse: true,
    budget: { long: 2 },
    preemptions: [1, 2],
  },
  {
    name: 'two claims and one that tidies up',
    before: [create('x'), create('y')],
    processes: [claimsAndFolds('v'), claimsAndFolds('w'), tidies],
    coarse: true,
    budget: { long: 1 },
    preemptions: [1, 2],
  },
  {
    name: 'some are killed',
    before: ATREST,
    processes: [addsByFold('a'), claimsAndFolds('w'), tidies],
    coarse: true,
    budget: { long: 0, short: 2 },
    preemptions: [2, 4],
  },
  {
    name: 'a lock that is renewed',
    before: ATREST,
    processes: [addsByFold('a'), claimsAndFolds('w')],
    coarse: true,
    budget: { long: 1, brief: 1 },
    preemptions: [1, 3],
  },
  {
    name: 'a reader',
    before: ATREST,
    processes: [addsByFold('a'), claimsAndFolds('w'), reads],
    coarse: true,
    budget: { long: 0 },
    preemptions: [3, 5],
  },
];
