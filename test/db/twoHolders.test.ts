/** A process that is stopped while it holds the lock, loses it, and wakes later, does no harm and loses nothing. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FileStore } from '../../db/file/fileStore.js';
import type { Job, ProcessingJob } from '../../db/schema.js';
import { pendingJob, T0 } from '../helpers/jobFactory.js';
import { tempStore } from '../helpers/tempStore.js';
import { skipFsync } from './fsCalls.js';
import { contentsOf, type Step } from './steps.js';
import { buildStoreProgram, isDone, isWaiting, StoreProcess } from './storeProcess.js';
import type { Report } from './storeProgram.js';

const HOUR_MS = 3_600_000;
const SLEEPER_STEPS: readonly Step[] = [
  { verb: 'create', job: pendingJob({ id: 'a', created_at: T0 + 10 }) },
  { verb: 'claim', worker: 'sleeper', now: T0 },
  { verb: 'configure', key: 'max_retries', value: 7 },
  { verb: 'close' },
];

/** How the lock is lost: it was left for too long, or somebody removes it (a late unlock of a third process does). */
const LOSSES: [title: string, lose: (lock: string) => void][] = [
  ['because it held it for too long', (lock) => fs.utimesSync(lock, 0, 0)],
  ['because somebody removed it', (lock) => fs.rmdirSync(lock)],
];

describe('a process stopped ahead of any of its calls', () => {
  let sleeper: StoreProcess;
  let restore: () => void;
  before(async () => {
    sleeper = new StoreProcess(await buildStoreProgram(tempStore()));
    restore = skipFsync();
  });
  after(async () => {
    restore();
    await sleeper.end();
  });

  for (const [title, lose] of LOSSES) {
    test(`that loses the lock ${title}: no commit is lost, none applied twice`, async () => {
      const root = tempStore();
      const template = join(root, 'template');
      await makeTemplate(template);
      let stops = 0;
      for (; ; stops++) {
        const dir = join(root, String(stops));
        fs.cpSync(template, dir, { recursive: true, preserveTimestamps: true });
        sleeper.order({
          dir,
          now: T0 + HOUR_MS,
          keepsFresh: true,
          steps: SLEEPER_STEPS,
          halt: { how: 'wait', at: stops },
        });
        const reports = await sleeper.until((report) => isWaiting(report) || isDone(report));
        const last = reports.at(-1);
        if (last === undefined || isDone(last)) break;
        const lock = join(dir, 'lock/store');
        if (fs.existsSync(lock)) lose(lock);
        const when = `stopped at ${stops}, ${JSON.stringify(last)}`;
        await checkSuccession(dir, when, async () => {
          sleeper.resume();
          return [...reports, ...(await sleeper.until(isDone))];
        });
        fs.rmSync(dir, { recursive: true });
      }
      assert.ok(stops > 150, `only ${stops} stops`);
    });
  }
});

async function makeTemplate(dir: string): Promise<void> {
  const store = new FileStore(dir, { clock: () => T0 });
  await store.transaction(async ({ jobs, dlq }) => {
    await jobs.createJob(pendingJob({ id: 'dead' }));
    const job = await jobs.claimNext('w1', T0);
    assert.ok(job !== undefined);
    await dlq.moveToDLQ(job, 'exit code 1', T0);
    for (const id of ['p', 'q', 'r']) await jobs.createJob(pendingJob({ id, priority: 1 }));
  });
  await store.close();
}

/** The successor commits, folds and commits once more while the sleeper sleeps; then the sleeper wakes. */
async function checkSuccession(dir: string, when: string, wake: () => Promise<Report[]>): Promise<void> {
  let now = T0 + 100 * HOUR_MS;
  const clock = () => {
    now += HOUR_MS;
    return now;
  };
  const successor = new FileStore(dir, { clock });
  await successor.jobs.createJob(pendingJob({ id: 'b', created_at: T0 + 20 }));
  const own = await successor.jobs.claimNext('successor', T0);
  await successor.idle();
  const folded = read(dir, 'queue.json');
  assert.deepEqual(
    folded.filter(({ id }) => id === 'b' || id === own?.id).map(({ state }) => state),
    ['processing', 'pending'],
    `${when}: not folded`,
  );
  await successor.config.setConfig('backoff_base', 5);
  await successor.jobs.createJob(pendingJob({ id: 'c', created_at: T0 + 30 }));

  const reports = await wake();
  const [, claim] = reports.flatMap((report) => ('acknowledged' in report ? [report.acknowledged] : []));
  assert.ok(!reports.some((report) => 'failed' in report), `${when}: ${JSON.stringify(reports)}`);
  const others = claim as ProcessingJob; // what the claim returned
  assert.notEqual(others.id, own?.id, when);

  const raw = new Map(read(dir, 'queue.json').map((job) => [job.id, job]));
  for (const job of folded) {
    const now = raw.get(job.id);
    assert.ok(
      now !== undefined && now.updated_at >= job.updated_at && now.attempts >= job.attempts,
      `${when}: went back`,
    );
  }
  const fresh = new FileStore(dir);
  for (const handle of [successor, fresh]) {
    const { jobs, dead, config } = await contentsOf(handle);
    assert.deepEqual(
      jobs.map(({ id }) => id),
      ['p', 'q', 'r', 'a', 'b', 'c'],
      when,
    );
    const claimed = jobs.filter(({ state }) => state === 'processing');
    assert.deepEqual(claimed.map(({ id }) => id).sort(), [own?.id, others.id].sort(), when);
    assert.ok(
      claimed.every(({ attempts }) => attempts === 1),
      when,
    );
    assert.deepEqual(
      dead.map(({ id }) => id),
      ['dead'],
      when,
    );
    assert.deepEqual(config, { max_retries: 7, backoff_base: 5, worker_idle_delay: 2000 }, when);
  }
  assert.equal(await successor.close(), undefined, when);
  assert.deepEqual(read(dir, 'queue.json'), await fresh.jobs.listJobs(), when);
  await fresh.close();
  assert.deepEqual(fs.readdirSync(join(dir, 'lock')), [], `${when}: a lock is left`);
}

const read = (dir: string, file: string) => JSON.parse(fs.readFileSync(join(dir, file), 'utf8')) as Job[];
