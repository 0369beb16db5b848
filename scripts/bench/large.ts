/** What a million jobs cost, beside a hundred thousand. */
import type { Bench } from './bench.js';
import { count, digits, type Figure, median, type Row } from './figure.js';
import { memoryOf, needsLinux, untilIdle } from './proc.js';
import { measureTurns, storeOfWaiting } from './turns.js';

type Cost = 'enqueue' | 'start' | 'memory' | 'status' | 'one more' | 'fold' | 'claim';

/** The costs in the units of `ROWS`. */
async function costsOf(bench: Bench, jobs: number): Promise<Record<Cost, number>> {
  const { store, enqueueMs } = await storeOfWaiting(bench, jobs, { delaySeconds: 1_000_000 });
  const workers = await store.startWorkers(1);
  await untilIdle(workers.pids);
  const { rss } = memoryOf(workers.pids[0] ?? Number.NaN);
  const status = await store.queuectl(['status']);
  await store.stopWorkers();
  const oneMore = await store.queuectl(['enqueue', 'true', '--delay', '1000000']);
  const claimMs = await measureTurns(bench, store, 1);
  const costs = {
    enqueue: enqueueMs / 1000,
    start: workers.ms / 1000,
    memory: rss,
    status: status.ms / 1000,
    'one more': oneMore.ms / 1000,
    fold: store.foldMs() / 1000,
    claim: claimMs,
  };
  store.remove();
  return costs;
}

const ROWS: readonly (readonly [Cost, string, Row['unit']])[] = [
  ['enqueue', 'enqueue them from a file', 's'],
  ['start', 'start a worker', 's'],
  ['memory', 'memory of that worker', 'MB'],
  ['status', 'status', 's'],
  ['one more', 'enqueue one more, no worker there', 's'],
  ['fold', 'one fold', 's'],
  ['claim', 'claim + settle, folds included', 'ms'],
];

export const large: Figure = {
  name: 'large',
  obstacle: ({ full }) => (full ? needsLinux() : 'it takes minutes; add --full'),
  async measure(bench) {
    const [size, smaller] = [1_000_000, 100_000];
    const costs: Record<'size' | 'smaller', Record<Cost, number>[]> = { size: [], smaller: [] };
    for (let round = 0; round < 2; round++) {
      costs.size.push(await costsOf(bench, size));
      costs.smaller.push(await costsOf(bench, smaller));
    }
    return ROWS.map(([cost, what, unit]) => ({
      what: `${count(size)} jobs: ${what}`,
      against: null,
      unit,
      rounds: costs.size.map((round) => round[cost]),
      detail: `${digits(median(costs.smaller.map((round) => round[cost])))} ${unit} with ${count(smaller)} jobs`,
    }));
  },
};
