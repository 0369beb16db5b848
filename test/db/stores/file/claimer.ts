/**
 * A process that claims and completes every job it can get, and prints the ids.
 * Usage: claimer.ts <opener> <place> <workerId>, then a byte on stdin once it has printed `ready`.
 */
import { once } from 'node:events';
import type { ProcessingJob } from '../../../../db/model/job.js';
import type { Opener } from '../../contract.js';

const [opener = '', place = '', workerId = ''] = process.argv.slice(2);
const { openStore } = (await import(opener)) as Opener;
const store = openStore(place);

process.stdout.write('ready\n');
await once(process.stdin, 'data');
process.stdin.destroy();

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
await store.close();
process.stdout.write(`${JSON.stringify(claimed)}\n`);
