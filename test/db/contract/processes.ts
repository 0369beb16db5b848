import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before } from 'node:test';
import type { StoreAddress } from '../../../db/index.js';
import { bundleHere } from '../../helpers/bundle.js';
import { pendingJob } from '../../helpers/jobFactory.js';
import { waitFor } from '../../helpers/waitFor.js';
import type { StoreKind } from './kinds.js';
import { topic } from './support.js';

const FOUR = ['w1', 'w2', 'w3', 'w4'];
const INCREMENTS = 50;

/** Of stores that live in one process there is nothing to see. */
export function describeProcesses(kind: StoreKind): void {
  topic(kind, 'several processes', (storeTest) => {
    let program: string;
    before(async () => {
      program = await bundleHere(join(import.meta.dirname, 'program.ts'));
    });
    const start = (address: StoreAddress | undefined, ...args: string[]) => startProgram(program, address, ...args);

    storeTest('four claim 400 jobs: each job is claimed once', async (store, _other, { address }) => {
      const jobs = Array.from({ length: 400 }, (_, n) => pendingJob({ id: `job-${n}` }));
      await store.jobs.createJobs(jobs.map((job) => ({ job, hasNewId: true })));
      const claimed = await allAtOnce(FOUR.map((worker) => start(address, 'claim', worker)));
      assert.deepEqual(claimed.flat().sort(), Array.from({ length: 400 }, (_, n) => `job-${n}`).sort());
      assert.ok(claimed.every((ids) => ids.length > 0));
      for (const job of await store.jobs.listJobs()) {
        assert.equal(job.state, 'completed');
        assert.equal(job.attempts, 1);
      }
    });

    storeTest('four change one record as they have read it: no change is lost', async (store, _other, { address }) => {
      await store.jobs.createJob(pendingJob({ id: 'job', priority: 0 }));
      await allAtOnce(FOUR.map((worker) => start(address, 'increment', worker, `${INCREMENTS}`)));
      assert.equal((await store.jobs.getJob('job'))?.priority, FOUR.length * INCREMENTS);
    });

    storeTest('what another process has added is news once it can be seen', async (store, other, { address }) => {
      await store.jobs.createJob(pendingJob());
      for (let round = 1; round <= 5; round++) {
        let seen = 0;
        const end = other.store.subscribe(() => {
          void other.jobs.countJobs().then(({ pending }) => {
            seen = pending;
          });
        });
        await allAtOnce([start(address, 'add', `w${round}`, '3')]);
        await waitFor(() => seen === 1 + 3 * round);
        end();
      }
    });

    storeTest('four make the store at the same time, and none loses its job', async (store, _other, { address }) => {
      await allAtOnce(FOUR.map((worker) => start(address, 'add', worker)));
      assert.deepEqual((await store.jobs.listJobs()).map(({ id }) => id).sort(), FOUR);
    });
  });
}

interface Started {
  readonly child: ChildProcess;
  readonly ready: Promise<unknown>;
  /** What it prints at its end. */
  readonly printed: Promise<string[]>;
}

function startProgram(program: string, address: StoreAddress | undefined, ...args: string[]): Started {
  const child = spawn(process.execPath, [program, JSON.stringify(address), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { stdout } = child;
  const ready = once(stdout, 'readable');
  const printed = ready.then(async () => {
    const [, ids = ''] = (await text(stdout)).split('\n');
    return JSON.parse(ids) as string[]; // what program.ts prints
  });
  return { child, ready, printed };
}

/** Lets them all begin once the last of them is ready. */
async function allAtOnce(started: readonly Started[]): Promise<string[][]> {
  after(() => {
    for (const { child } of started) child.kill('SIGKILL');
  });
  await Promise.all(started.map(({ ready }) => ready));
  for (const { child } of started) child.stdin?.write('\n');
  return Promise.all(started.map(({ printed }) => printed));
}
