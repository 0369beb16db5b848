/**
 * Takes turns at a store as a worker does, without running anything: settles the last job and claims the next, in one
 * transaction. Prints what that took, as JSON. Every job fails and is due again 500 turns later, so the number of waiting
 * jobs stays the same however long it goes on.
 *
 * Arguments: the data directory, the length of the measurement in milliseconds.
 */
import { statSync } from 'node:fs';
import { QueueManager } from '../../core/queueManager.js';
import { openFileStore } from '../../db/index.js';

/** What is printed. */
export interface TurnsTaken {
  readonly turns: number;
  readonly ms: number;
}

const [dataDir = '', length] = process.argv.slice(2);
const store = openFileStore(dataDir, { folds: 'in time' });
const jobs = await store.jobs.listJobs(); // as in a worker, the records are in memory before the first claim
// A clock by which all jobs are due at first, and those that fail again after `backoff_base` seconds, which is one.
const TICK_MS = 2;
let now = jobs.reduce((latest, job) => Math.max(latest, job.run_at), 0) + 1;
const queue = new QueueManager(store, () => now);

let ended: Parameters<QueueManager['takeTurn']>[1] = [];
async function takeTurn(free: number): Promise<void> {
  now += TICK_MS;
  const { claimed } = await queue.takeTurn('bench', ended, free);
  if (claimed.length !== free) throw new Error('there was no job to claim');
  ended = claimed.map((job) => ({ job, outcome: { kind: 'exited', code: 1, lastLine: '' } }));
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
const failure = await store.close();
if (failure !== undefined) throw failure;
process.stdout.write(JSON.stringify(taken));
