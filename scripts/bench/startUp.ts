/** One command, as a whole process. */
import type { Bench } from './bench.js';
import { BenchStore } from './benchStore.js';
import { count, type Figure, interleave, milliseconds, ratios } from './figure.js';
import { storeOfWaiting } from './turns.js';

const ENQUEUE = ['enqueue', 'true'];
const ENQUEUE_LATER = [...ENQUEUE, '--delay', '1000000'];

/** A store in use, with nothing to speak of in it: in a new one, `enqueue` has directories and files to make. */
async function smallStore(bench: Bench): Promise<BenchStore> {
  const store = new BenchStore(bench);
  await store.queuectl(ENQUEUE);
  return store;
}

export const longQueue: Figure = {
  name: 'long-queue',
  async measure(bench) {
    const waiting = 100_000;
    const { store: long } = await storeOfWaiting(bench, waiting, { delaySeconds: 1_000_000 });
    const empty = await smallStore(bench);
    const measureBoth = () =>
      interleave(bench.full ? 60 : 15, {
        long: async () => (await long.queuectl(ENQUEUE_LATER)).ms,
        empty: async () => (await empty.queuectl(ENQUEUE_LATER)).ms,
      });
    const atRest = await measureBoth();
    for (const store of [long, empty]) await store.startWorkers(1);
    const besideWorker = await measureBoth();
    for (const store of [long, empty]) await store.stopWorkers();
    return [
      { where: 'no worker there', taken: atRest },
      { where: 'beside a worker', taken: besideWorker },
    ].map(({ where, taken }) => ({
      what: `one enqueue into ${count(waiting)} waiting jobs, whole process, ${where}`,
      against: 'into an empty queue',
      unit: '×' as const,
      rounds: ratios(taken.long, taken.empty),
      target: { sign: '≤' as const, mustReach: 1.6, aim: 1.2 },
      detail: `${milliseconds(taken.long)} against ${milliseconds(taken.empty)}`,
    }));
  },
};

export const startUp: Figure = {
  name: 'start-up',
  async measure(bench) {
    const store = await smallStore(bench);
    const taken = await interleave(bench.full ? 100 : 25, {
      enqueue: async () => (await store.queuectl(ENQUEUE)).ms,
      status: async () => (await store.queuectl(['status'])).ms,
      node: async () => (await bench.run(process.execPath, ['-e', '0'])).ms,
    });
    return (['enqueue', 'status'] as const).map((command) => ({
      what: `${command}, whole process`,
      against: 'node -e 0',
      unit: '×',
      rounds: ratios(taken[command], taken.node),
      target: { sign: '≤', mustReach: 1.8, aim: 1.4 },
      detail: `${milliseconds(taken[command])} against ${milliseconds(taken.node)}`,
    }));
  },
};
