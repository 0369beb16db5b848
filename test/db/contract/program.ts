/**
 * A process that works on a store, and prints the ids of the jobs that it has had.
 * Usage: program.ts <address as JSON> claim|increment|add <workerId> [times], then a byte on stdin once it has printed
 * `ready`.
 */
import { once } from 'node:events';
import type { Job, ProcessingJob } from '../../../db/model/job.js';
import { pendingJob } from '../../helpers/jobFactory.js';
import { storeAt } from '../../helpers/testStore.js';

const [address = '', task, workerId = '', times = ''] = process.argv.slice(2);
const store = storeAt(JSON.parse(address), { role: 'worker' });

/** Claims and completes every job it can get. */
async function claimAll(): Promise<string[]> {
  const claimed: string[] = [];
  let last: ProcessingJob | undefined;
  do {
    const ended = last;
    last = await store.transaction(async ({ jobs }) => {
      const now = Date.now();
      if (ended !== undefined) await jobs.markCompleted(ended, now);
      return jobs.claimNext(workerId, now);
    });
    if (last !== undefined) claimed.push(last.id);
  } while (last !== undefined);
  return claimed;
}

async function increment(): Promise<string[]> {
  for (let n = 0; n < Number(times); n++) {
    await store.store.transaction(async (tx) => {
      const before = await tx.get('jobs', 'job');
      if (before === undefined) throw new Error('there is no job');
      const after: Job = { ...before.record, priority: (before.record.priority ?? 0) + 1 };
      const [stale] = await tx.write('jobs', [{ id: 'job', before, after }]);
      if (stale !== undefined) throw new Error('it changed within a transaction');
    }, 'soon');
  }
  return [];
}

/** Adds one job, or so many one after the other. */
async function add(): Promise<string[]> {
  const ids = times === '' ? [workerId] : Array.from({ length: Number(times) }, (_, n) => `${workerId}-${n}`);
  for (const id of ids) await store.jobs.createJob(pendingJob({ id }));
  return ids;
}

process.stdout.write('ready\n');
await once(process.stdin, 'data');
process.stdin.destroy();
const ids = await (task === 'claim' ? claimAll() : task === 'add' ? add() : increment());
await store.close();
process.stdout.write(`${JSON.stringify(ids)}\n`);
