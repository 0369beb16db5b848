/** A process that is stopped for long, wherever it is, does no harm when it wakes, and misses nothing. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Job, ProcessingJob } from '../../../../db/model/job.js';
import { DEFAULT_CONFIG } from '../../../../db/model/settings.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { fileStore } from '../../../helpers/testStore.js';
import { foldingStore } from './foldingStore.js';
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

describe('a writer whose lock somebody else gets meanwhile', () => {
  let program: string;
  let sleeper: StoreProcess;
  let restore: () => void;
  before(async () => {
    program = await buildStoreProgram(tempStore());
    sleeper = new StoreProcess(program);
    restore = skipFsync();
  });
  after(async () => {
    restore();
    await sleeper.end();
  });

  for (const role of ['worker', 'command'] as const) {
    test(`wherever it is stopped, no commit is lost and none applied twice (a ${role})`, {
      timeout: 180_000,
    }, async () => {
      const root = tempStore();
      let stops = 0;
      for (; ; stops++) {
        const dir = join(root, String(stops));
        await fill(dir);
        sleeper.order({
          dir,
          now: T0 + HOUR_MS,
          role,
          steps: SLEEPER_STEPS,
          halt: { how: 'wait', at: stops },
        });
        const reports = await sleeper.until((report) => isWaiting(report) || isDone(report));
        const last = reports.at(-1);
        if (last === undefined || isDone(last)) break;
        loseLock(dir);
        await checkSuccession(dir, `stopped at ${stops}, ${JSON.stringify(last)}`, async () => {
          sleeper.resume();
          return [...reports, ...(await sleeper.until(isDone))];
        });
        fs.rmSync(dir, { recursive: true });
      }
      assert.ok(stops > 100, `only ${stops} stops`);
    });
  }

  test('it cannot finish its fold once the successor has read', async () => {
    const dir = join(tempStore(), 'new');
    const successor = new StoreProcess(program);
    try {
      const create = (id: string) => [{ verb: 'create', job: pendingJob({ id }) }] as const;
      const halt = { how: 'wait', at: ['renameSync', 'queue.json'] } as const;
      const thenHalt = { how: 'wait', at: ['linkSync', 'store'] } as const;
      sleeper.order({ dir, now: T0, steps: create('a'), halt, thenHalt });
      await sleeper.until(isWaiting);
      loseLock(dir);
      successor.order({ dir, now: T0, steps: create('b'), halt: { how: 'wait', at: ['statSync', 'dlq.json'] } });
      await successor.until(isWaiting);
      sleeper.resume();
      await sleeper.until((report) => isWaiting(report) || isDone(report));
      successor.resume();
      await successor.until(isDone);
      sleeper.resume();
      await sleeper.until(isDone);
      const jobs = await fileStore(dir).jobs.listJobs();
      assert.deepEqual(jobs.map(({ id }) => id).sort(), ['a', 'b']);
    } finally {
      await successor.end();
    }
  });
});

test('a reader sees the store as it was at some moment, and next as it is', async () => {
  const root = tempStore();
  const reader = new StoreProcess(await buildStoreProgram(tempStore()));
  const restore = skipFsync();
  let stops = 0;
  try {
    for (; ; stops++) {
      const dir = join(root, String(stops));
      await fill(dir);
      const steps: Step[] = [{ verb: 'list' }, { verb: 'list' }, { verb: 'list' }];
      reader.order({ dir, now: T0, steps, halt: { how: 'wait', at: stops } });
      const reports = await reader.until((report) => isWaiting(report) || isDone(report));
      if (reports.some(isDone)) break;
      const stoppedIn = reports.length - 1;
      const { store: writer, fold } = foldingStore(dir);
      const moments = [await writer.jobs.listJobs()];
      const changes: (() => Promise<unknown>)[] = [
        () => writer.jobs.createJob(pendingJob({ id: 'b', priority: 9 })),
        fold,
        () => writer.jobs.claimNext('w', T0),
        () => writer.jobs.claimNext('w', T0),
        fold,
      ];
      for (const change of changes) {
        await change();
        moments.push(await writer.jobs.listJobs());
      }
      reader.resume();
      reports.push(...(await reader.until(isDone)));
      const lists = reports.flatMap((report) =>
        'acknowledged' in report ? [JSON.stringify(report.acknowledged)] : [],
      );
      assert.equal(lists.length, steps.length, JSON.stringify(reports));
      const possible = moments.map((jobs) => JSON.stringify(jobs));
      const seen = lists.map((list) => possible.lastIndexOf(list));
      for (const [n, moment] of seen.entries()) {
        const isSure = n > stoppedIn;
        assert.ok(
          isSure ? moment === moments.length - 1 : moment >= 0,
          `stopped at ${stops}, in list ${stoppedIn}: saw ${seen}`,
        );
      }
      await writer.close();
    }
  } finally {
    restore();
    await reader.end();
  }
  assert.ok(stops > 15, `only ${stops} stops`);
});

/** As another process does that takes it for stale, or that wakes in the middle of unlocking. */
function loseLock(dir: string): void {
  fs.rmSync(join(dir, 'lock/store'), { force: true });
}

async function fill(dir: string): Promise<void> {
  const store = fileStore(dir, { clock: () => T0 });
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
  const { store: successor, fold } = foldingStore(dir);
  await successor.jobs.createJob(pendingJob({ id: 'b', created_at: T0 + 20 }));
  const own = await successor.jobs.claimNext('successor', T0);
  await fold();
  const folded = read(dir, 'queue.json');
  assert.deepEqual(
    folded.filter(({ id }) => id === 'b' || id === own?.id).map(({ state }) => state),
    ['processing', 'pending'],
    `${when}: not folded`,
  );
  await successor.config.setConfig('backoff_base', 5);
  await successor.jobs.createJob(pendingJob({ id: 'c', created_at: T0 + 30 }));

  const reports = await wake();
  assert.ok(!reports.some((report) => 'failed' in report), `${when}: ${JSON.stringify(reports)}`);
  const results = reports.flatMap((report) => ('acknowledged' in report ? [report.acknowledged] : []));
  assert.equal(results.length, SLEEPER_STEPS.length);
  assert.equal(results.at(-1), null, `${when}: what close returned`);
  const others = results[1] as ProcessingJob; // what the claim returned
  assert.notEqual(others.id, own?.id, when);

  const raw = new Map(read(dir, 'queue.json').map((job) => [job.id, job]));
  for (const job of folded) {
    const now = raw.get(job.id);
    assert.ok(
      now !== undefined && now.updated_at >= job.updated_at && now.attempts >= job.attempts,
      `${when}: went back`,
    );
  }
  const fresh = fileStore(dir);
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
    assert.deepEqual(config, { ...DEFAULT_CONFIG, max_retries: 7, backoff_base: 5 }, when);
  }
  assert.equal(await successor.close(), undefined, when);
  assert.deepEqual(read(dir, 'queue.json'), await fresh.jobs.listJobs(), when);
  await fresh.close();
  assert.ok(!fs.existsSync(join(dir, 'lock/store')), `${when}: a lock is left`);
}

const read = (dir: string, file: string) => JSON.parse(fs.readFileSync(join(dir, file), 'utf8')) as Job[];
