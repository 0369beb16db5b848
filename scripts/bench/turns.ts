/** A turn of a worker, claim and settle in one transaction, in a long queue and in a short one. */
import { join } from 'node:path';
import { type Bench, PROJECT } from './bench.js';
import { BenchStore } from './benchStore.js';
import { count, type Figure, interleave, milliseconds, ratios } from './figure.js';
import type { TurnsTaken } from './turnsProgram.js';

const [WAITING, FEW_WAITING] = [100_000, 1000];

interface WaitingOptions {
  /** Keeps workers from running them. */
  readonly delaySeconds?: number;
}

/** A store of jobs that wait, and what it took to enqueue them. */
export async function storeOfWaiting(
  bench: Bench,
  jobs: number,
  { delaySeconds = 0 }: WaitingOptions = {},
): Promise<{ store: BenchStore; enqueueMs: number }> {
  const store = new BenchStore(bench);
  const file = bench.fileOf(jobs, (at) => `{"id":"job-${at}","command":"true","max_retries":1000}`);
  await store.queuectl(['config-set', 'backoff_base', '1']); // for turnsProgram.ts
  const { ms } = await store.queuectl(['enqueue', '--file', file, '--delay', String(delaySeconds)]);
  return { store, enqueueMs: ms };
}

/** @returns milliseconds for one turn, folds included, over at least `length` milliseconds */
export async function measureTurns(bench: Bench, { dataDir }: BenchStore, length: number): Promise<number> {
  const program = join(import.meta.dirname, 'turnsProgram.ts');
  const args = ['--import', 'tsx', program, dataDir, String(length)];
  const { stdout } = await bench.run(process.execPath, args, { cwd: PROJECT });
  const { turns, ms }: TurnsTaken = JSON.parse(stdout);
  return ms / turns;
}

export const turns: Figure = {
  name: 'claim',
  async measure(bench) {
    const { store: long } = await storeOfWaiting(bench, WAITING);
    const { store: short } = await storeOfWaiting(bench, FEW_WAITING);
    const length = bench.full ? 10_000 : 1000;
    const taken = await interleave(bench.full ? 5 : 3, {
      long: () => measureTurns(bench, long, length),
      short: () => measureTurns(bench, short, length),
    });
    return [
      {
        what: `claim + settle, ${count(WAITING)} jobs waiting`,
        against: `the same with ${count(FEW_WAITING)}`,
        unit: '×',
        rounds: ratios(taken.long, taken.short),
        target: { sign: '≤', mustReach: 1.3, aim: 1 },
        detail: `${milliseconds(taken.long)} against ${milliseconds(taken.short)} for one, folds included`,
      },
    ];
  },
};
