/** What Linux tells of processes in /proc. */
import fs from 'node:fs';
import { until } from './until.js';

/** A process and all that descend from it. */
export function treeOf(pid: number): number[] {
  const children = threadsOf(pid).flatMap((task) =>
    fs.readFileSync(`${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(treeOf)];
}

const threadsOf = (pid: number) => fs.readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}`);

/** How often the threads of these processes have gone to sleep, which is how often they have been woken. */
export function wakeUpsOf(pids: readonly number[]): number {
  return sumOf(pids, (task) => Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(read(`${task}/status`))?.[1]));
}

/** Processor time that these processes have used, in milliseconds. `stat` would tell it in steps of 10 ms only. */
export function processorMsOf(pids: readonly number[]): number {
  return sumOf(pids, (task) => Number(read(`${task}/schedstat`).split(' ')[0]) / 1e6);
}

const read = (path: string) => fs.readFileSync(path, 'utf8');

const sumOf = (pids: readonly number[], figure: (task: string) => number) =>
  pids
    .flatMap(threadsOf)
    .map(figure)
    .reduce((sum, value) => sum + value, 0);

/** Resident memory in megabytes: all of it, and with what is shared divided among those who share it. */
export function memoryOf(pid: number): { rss: number; pss: number } {
  const rollup = read(`/proc/${pid}/smaps_rollup`);
  const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(rollup)?.[1]) / 1024;
  return { rss: megabytes('Rss'), pss: megabytes('Pss') };
}

/** Waits until these processes have not used the processor for a while, ten looks long. */
export async function untilIdle(pids: readonly number[]): Promise<void> {
  let before = -1;
  let quietLooks = 0;
  await until('the processes are idle', () => {
    const now = processorMsOf(pids);
    quietLooks = now === before ? quietLooks + 1 : 0;
    before = now;
    return quietLooks >= 10;
  });
}

export const needsLinux = () => (process.platform === 'linux' ? undefined : 'it is read from /proc, which is Linux’s');
