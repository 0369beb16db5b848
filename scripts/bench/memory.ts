/** The memory of a worker that holds a queue. */
import { count, digits, type Figure, median, ratios } from './figure.js';
import { memoryOf, needsLinux, untilIdle } from './proc.js';
import { storeOfWaiting } from './turns.js';

export const memory: Figure = {
  name: 'memory',
  obstacle: needsLinux,
  async measure(bench) {
    const waiting = 10_000;
    const { store } = await storeOfWaiting(bench, waiting, { delaySeconds: 1_000_000 });
    const resident: Record<'worker' | 'node', number[]> = { worker: [], node: [] };
    const shared: typeof resident = { worker: [], node: [] };
    for (let round = 0; round < (bench.full ? 10 : 3); round++) {
      const [pid = Number.NaN] = (await store.startWorkers(1)).pids;
      const bare = bench.start(process.execPath, ['-e', 'setInterval(() => {}, 1e9)']);
      await untilIdle([pid, bare.pid]);
      for (const [side, measured] of [['worker', memoryOf(pid)] as const, ['node', memoryOf(bare.pid)] as const]) {
        resident[side].push(measured.rss);
        shared[side].push(measured.pss);
      }
      bare.end();
      await store.stopWorkers();
    }
    const [worker, node] = [resident.worker, resident.node].map((megabytes) => digits(median(megabytes)));
    const [own, bareOwn] = [shared.worker, shared.node].map((megabytes) => digits(median(megabytes)));
    return [
      {
        what: `memory of a worker, ${count(waiting)} jobs waiting`,
        against: 'bare Node process',
        unit: '×',
        rounds: ratios(resident.worker, resident.node),
        target: { sign: '≤', mustReach: 1.6, aim: 1.3 },
        detail: `resident: ${worker} MB against ${node} MB; with shared pages divided: ${own} against ${bareOwn}`,
      },
    ];
  },
};
