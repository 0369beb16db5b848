import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { before, describe, mock, test } from 'node:test';
import { DEFAULT_CONFIG } from '../../../../db/model/settings.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { BESIDE_WORKERS, fileStore } from '../../../helpers/testStore.js';
import { skipFsync } from './fsCalls.js';
import { type Contents, contentsOf, perform, type Step } from './steps.js';
import { buildStoreProgram, isDone, StoreProcess } from './storeProcess.js';
import type { Report } from './storeProgram.js';

const STEPS: readonly Step[] = [
  { verb: 'create', job: pendingJob({ id: 'a' }) },
  { verb: 'configure', key: 'max_retries', value: 7 },
  {
    verb: 'transaction',
    verbs: [
      { verb: 'create', job: pendingJob({ id: 'b', created_at: T0 + 1 }) },
      { verb: 'create', job: pendingJob({ id: 'c', created_at: T0 + 2, priority: -1 }) },
    ],
  },
  { verb: 'claim', worker: 'w1', now: T0 + 3 },
  {
    verb: 'transaction',
    verbs: [
      { verb: 'complete', id: 'a', worker: 'w1', now: T0 + 4 },
      { verb: 'claim', worker: 'w1', now: T0 + 4 },
    ],
  },
  { verb: 'bury', id: 'b', worker: 'w1', now: T0 + 5 },
  { verb: 'close' },
  { verb: 'retry', id: 'b', now: T0 + 6 },
  { verb: 'claim', worker: 'w2', now: T0 + 7 },
  { verb: 'reschedule', id: 'b', worker: 'w2', runAt: T0 + 50, now: T0 + 8 },
  { verb: 'close' },
];
const NOTHING: Contents = { jobs: [], dead: [], config: DEFAULT_CONFIG };

describe('a process killed at any moment', () => {
  let program: string;
  before(async () => {
    program = await buildStoreProgram(tempStore());
  });

  for (const role of ['command', 'worker'] as const) {
    test(`each change is there whole or not at all, and all that was acknowledged (of a ${role})`, {
      timeout: 180_000,
    }, async () => {
      const root = tempStore();
      const reports = await runUntilDeath({ program, role, dir: join(root, 'whole'), reportContents: true });
      const contents = [NOTHING, ...reports.flatMap((report) => ('contents' in report ? [report.contents] : []))];
      assert.equal(contents.length, STEPS.length + 1);

      let next = 0;
      let deaths = 0;
      async function dieInTurn(): Promise<void> {
        for (;;) {
          const at = next++;
          const dir = join(root, String(at));
          const reports = await runUntilDeath({ program, role, dir, halt: { how: 'kill', at } });
          if (reports.some(isDone)) return;
          deaths += 1;
          await checkRemains(dir, `killed at ${at}`, contents.slice(reports.length, reports.length + 2));
        }
      }
      const restore = skipFsync();
      try {
        await Promise.all([dieInTurn(), dieInTurn()]);
      } finally {
        restore();
      }
      assert.ok(deaths > 40, `only ${deaths} deaths`);
    });
  }
});

test('a repair that is killed at any moment can be done again, and keeps the same', async () => {
  const program = await buildStoreProgram(tempStore());
  const root = tempStore();
  const restore = skipFsync();
  let deaths = 0;
  try {
    for (; ; deaths++) {
      const dir = join(root, String(deaths));
      await damage(dir);
      const damaged = fs.readFileSync(join(dir, 'queue.json'), 'utf8');
      const halt = { how: 'kill', at: deaths } as const;
      const reports = await runUntilDeath({ program, role: 'command', dir, halt, steps: [{ verb: 'repair' }] });
      const later = letLockGrowStale();
      const store = fileStore(dir, { clock: () => T0 + 1 });
      await perform(store, { verb: 'repair' });
      later.mock.restore();
      const ids = (await store.jobs.listJobs()).map(({ id }) => id);
      assert.deepEqual(ids, ['a', 'c', 'd'], `killed at ${deaths}`);
      await store.close();
      const kept = fs.readdirSync(join(dir, 'replaced')).map((moment) => join(dir, 'replaced', moment, 'queue.json'));
      assert.ok(
        kept.some((file) => fs.existsSync(file) && fs.readFileSync(file, 'utf8') === damaged),
        `killed at ${deaths}: what was replaced is gone`,
      );
      fs.rmSync(dir, { recursive: true });
      if (reports.some(isDone)) break;
    }
  } finally {
    restore();
  }
  assert.ok(deaths > 10, `only ${deaths} deaths`);
});

/** A store with commits in its journal and a line of queue.json that is damaged. */
async function damage(dir: string): Promise<void> {
  const store = fileStore(dir, { clock: () => T0 });
  for (const id of ['a', 'b', 'c']) await store.jobs.createJob(pendingJob({ id }));
  await store.close();
  await fileStore(dir, { ...BESIDE_WORKERS, clock: () => T0 }).jobs.createJob(
    pendingJob({ id: 'd', created_at: T0 + 1 }),
  );
  const queue = join(dir, 'queue.json');
  fs.writeFileSync(queue, fs.readFileSync(queue, 'utf8').replace('"id":"b"', '"id":b"'));
}

interface Run {
  readonly steps?: readonly Step[];
  readonly program: string;
  readonly role: 'command' | 'worker';
  readonly dir: string;
  readonly halt?: { readonly how: 'kill'; readonly at: number };
  readonly reportContents?: boolean;
}

async function runUntilDeath({ program, ...order }: Run): Promise<Report[]> {
  const child = new StoreProcess(program);
  try {
    child.order({ steps: STEPS, ...order, now: T0 });
    const reports = await child.until(isDone);
    assert.ok(!reports.some((report) => 'failed' in report), JSON.stringify(reports));
    return reports;
  } finally {
    await child.end();
  }
}

/** From here on the lock that a dead process left is stale. */
function letLockGrowStale() {
  const now = Date.now.bind(Date);
  return mock.method(Date, 'now', () => now() + 4000);
}

/** @param possible what the store may hold: without the step in which the process died, or with it */
async function checkRemains(dir: string, when: string, possible: readonly unknown[]): Promise<void> {
  for (const file of ['queue.json', 'dlq.json', 'config.json']) {
    if (fs.existsSync(join(dir, file))) JSON.parse(fs.readFileSync(join(dir, file), 'utf8'));
  }
  const reader = fileStore(dir);
  const found = await contentsOf(reader);
  assert.ok(
    possible.some((contents) => JSON.stringify(contents) === JSON.stringify(found)),
    `${when}: ${JSON.stringify(found, null, 1)}\nis neither of ${JSON.stringify(possible, null, 1)}`,
  );
  const later = letLockGrowStale();

  const store = fileStore(dir);
  const job = pendingJob({ id: 'next', created_at: T0 + 1000 });
  await store.jobs.createJob(job);
  later.mock.restore();
  const expected = { ...found, jobs: [...found.jobs, job] };
  assert.deepEqual(await contentsOf(reader), expected, when);
  assert.equal(await store.close(), undefined, when);
  assert.deepEqual(await contentsOf(reader), expected, when);
  await reader.close();
  assert.deepEqual(JSON.parse(fs.readFileSync(join(dir, 'queue.json'), 'utf8')), expected.jobs, when);
  assert.deepEqual(JSON.parse(fs.readFileSync(join(dir, 'dlq.json'), 'utf8')), expected.dead, when);
  assert.equal(fs.readFileSync(join(dir, 'journal.ndjson'), 'utf8').split('\n').length, 2, when);
  const files = fs.readdirSync(dir).sort();
  assert.deepEqual(files, ['config.json', 'dlq.json', 'journal.ndjson', 'lock', 'queue.json'], when);
  assert.ok(!fs.existsSync(join(dir, 'lock/store')), when);
}
