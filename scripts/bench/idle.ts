/** What a worker costs that has nothing to do, with its supervisor and its fork server. */
import { setTimeout as delay } from 'node:timers/promises';
import { BenchStore } from './benchStore.js';
import type { Figure } from './figure.js';
import { needsLinux, processorMsOf, treeOf, wakeUpsOf } from './proc.js';

/** After its last job V8 tidies up once, for some milliseconds. */
const SETTLING_MS = 10_000;

export const idle: Figure = {
  name: 'idle',
  obstacle: needsLinux,
  async measure(bench) {
    const store = new BenchStore(bench);
    await store.queuectl(['enqueue', 'true']); // with its first job the worker starts its fork server
    const { supervisorPid } = await store.startWorkers(1);
    await store.drained();
    const pids = treeOf(supervisorPid);
    await delay(SETTLING_MS);
    const { stdout } = await store.queuectl(['config-get', 'worker_idle_delay', '--json']);
    const idleDelayMs = JSON.parse(stdout).worker_idle_delay;
    const wakeUps: number[] = [];
    const busy: number[] = [];
    for (let round = 0; round < (bench.full ? 5 : 3); round++) {
      const [began, wakeUpsBefore, busyBefore] = [performance.now(), wakeUpsOf(pids), processorMsOf(pids)];
      await delay(bench.full ? 30_000 : 4000); // the time over which it is watched
      const ms = performance.now() - began;
      wakeUps.push(((wakeUpsOf(pids) - wakeUpsBefore - ms / idleDelayMs) / ms) * 1000);
      busy.push(((processorMsOf(pids) - busyBefore) / ms) * 100);
    }
    await store.stopWorkers();
    const detail = `${pids.length} processes: supervisor, worker, fork server`;
    return [
      {
        what: 'idle worker, wake-ups beyond worker_idle_delay',
        against: null,
        unit: 'a second',
        rounds: wakeUps,
        target: { sign: '<', mustReach: 1 },
        detail,
      },
      {
        what: 'idle worker, processor time',
        against: null,
        unit: '%',
        rounds: busy,
        target: { sign: '<', mustReach: 0.05 },
        detail: `${detail}; < 0.05 is 0.0 rounded`,
      },
    ];
  },
};
