/** How fast workers work through a queue, from the first claim to the last settle. */
import type { Bench } from './bench.js';
import { isInstalled } from './bench.js';
import { BenchStore } from './benchStore.js';
import { count, digits, type Figure, interleave, median, milliseconds, ratios } from './figure.js';

async function drainMs(bench: Bench, commands: string, workers: number): Promise<number> {
  const store = new BenchStore(bench);
  await store.queuectl(['enqueue', '--file', commands]);
  const { firstClaim, lastSettle } = await store.drain(workers);
  return lastSettle - firstClaim;
}

export const drain: Figure = {
  name: 'drain',
  obstacle: () => (isInstalled('xargs') ? undefined : 'xargs is not installed (apt-get install findutils)'),
  async measure(bench) {
    const jobs = 2000;
    const commands = bench.fileOf(jobs, () => 'true');
    const { queuectl, xargs } = await interleave(bench.full ? 10 : 3, {
      queuectl: () => drainMs(bench, commands, 2),
      xargs: async () => (await bench.run('xargs', ['-P2', '-I{}', 'sh', '-c', 'true'], { stdin: commands })).ms,
    });
    const rate = (samples: readonly number[]) => count(Math.round((jobs / median(samples)) * 1000));
    return [
      {
        what: `drain ${count(jobs)} × true, 2 workers, from the first claim`,
        against: 'xargs -P2 -I{} sh -c true',
        unit: '×',
        rounds: ratios(xargs, queuectl),
        target: { sign: '≥', mustReach: 0.5, aim: 0.8 },
        detail: `${rate(queuectl)} jobs a second against ${rate(xargs)}`,
      },
    ];
  },
};

export const crowd: Figure = {
  name: 'crowd',
  async measure(bench) {
    const [jobs, workers, seconds] = [2000, 8, 0.02];
    const commands = bench.fileOf(jobs, () => `sleep ${seconds}`);
    const idealMs = (jobs * seconds * 1000) / workers;
    const { taken } = await interleave(bench.full ? 5 : 2, { taken: () => drainMs(bench, commands, workers) });
    return [
      {
        what: `${workers} workers on ${count(jobs)} × sleep ${seconds}, from the first claim`,
        against: `the ideal, ${digits(idealMs / 1000)} s`,
        unit: '×',
        rounds: taken.map((ms) => idealMs / ms),
        target: { sign: '≥', mustReach: 0.7, aim: 0.9 },
        detail: milliseconds(taken),
      },
    ];
  },
};
