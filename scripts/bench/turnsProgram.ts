/**
 * Takes turns at a store as a worker does, without running anything: settles the last job and claims the next, in one
 * transaction. Prints what that took, as JSON. Every job fails and is due again 500 turns later, so the number of waiting
 * jobs stays the same however long it goes on.
 *
 * Arguments: the data directory, the length of the measurement in milliseconds.
 */
import { statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { QueueManager } from '../../core/queueManager.js';
import { isAlive } from '../../core/workers/liveness.js';
import { openStore } from '../../db/index.js';

/** What is printed. */
export interface TurnsTaken {
  readonly turns: number;
  readonly ms: number;
}

const [dataDir = '', length] = process.argv.slice(2);
// A clock by which all jobs are due at first, and those that fail again after `backoff_base` seconds, which is one.
const TICK_MS = 2;
let now = 0;
const store = openStore({ kind: 'file', dir: dataDir }, { role: 'worker', onWarning, isAlive });
/** The queue goes by that clock, and the store, which folds now and then, by the machine's. */
const queue = new QueueManager({
  transaction: (work, durability) => store.transaction(work, durability),
  read: (work) => store.read(work),
  settings: store.settings,
  workers: store.workers,
  subscribe: (onNews) => store.subscribe(onNews),
  clock: () => now,
  check: () => store.check(),
  close: () => store.close(),
});
const jobs = await queue.list(); // as in a worker, the records are in memory before the first claim
now = jobs.reduce((latest, job) => Math.max(latest, job.run_at), 0) + 1;

let ended: Parameters<QueueManager['takeTurn']>[1] = [];
async function takeTurn(free: number): Promise<void> {
  now += TICK_MS;
  const { claimed } = await queue.takeTurn('bench', ended, free);
  if (claimed.length !== free) throw new Error('there was no job to claim');
  ended = claimed.map((job) => ({ job, outcome: { kind: 'exited', code: 1, lastLine: '' } }));
  await setImmediate(); // as a worker waits for its commands; meanwhile the store folds
}

// From the end of one fold to the end of another: so the folds are counted at the rate at which they happen.
const snapshotTime = () => statSync(`${dataDir}/queue.json`, { bigint: true }).mtimeNs;
async function takeTurnsUntilFold(): Promise<number> {
  const before = snapshotTime();
  let turns = 0;
  while (snapshotTime() === before) {
    await takeTurn(1);
    turns += 1;
  }
  return turns;
}

await takeTurnsUntilFold();
const began = performance.now();
let turns = 0;
do turns += await takeTurnsUntilFold();
while (performance.now() - began < Number(length));
const taken: TurnsTaken = { turns, ms: performance.now() - began };

await takeTurn(0);
await store.close();
process.stdout.write(JSON.stringify(taken));

function onWarning(warning: Error): never {
  throw warning;
}
