/** What version 0.1.0 left is read, and gone on with. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { DeadEntry } from '../../../../db/model/deadEntry.js';
import type { Job } from '../../../../db/model/job.js';
import { pendingJob } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { fileStore, type TestStore } from '../../../helpers/testStore.js';

const FIXTURES = join(import.meta.dirname, '../../../fixtures/store-0.1.0');
const NAMES = ['at-rest', 'killed', 'unknown-fields'] as const;
/** Later than all that is in them, but for a job of the year 2100. */
const NOW = 1_800_000_000_000;

interface Expected {
  readonly list: Job[];
  readonly dlq: DeadEntry[];
  readonly config: object;
}

/** A copy, as from a backup: other inodes, other times, the modes that git does not keep; git ignores names in `.log`. */
function copyOf(name: string): string {
  const dir = tempStore();
  fs.cpSync(join(FIXTURES, name), dir, { recursive: true });
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    fs.chmodSync(path, entry.isDirectory() ? 0o700 : 0o600);
    if (path.endsWith('.log.txt')) fs.renameSync(path, path.slice(0, -'.txt'.length));
  }
  return dir;
}

const expectedOf = (name: string): Expected =>
  JSON.parse(fs.readFileSync(join(FIXTURES, `${name}.expected.json`), 'utf8'));

async function assertHolds(store: TestStore, { list, dlq, config }: Expected): Promise<void> {
  assert.deepEqual(await store.jobs.listJobs(), list);
  assert.deepEqual(await store.dlq.listDLQ(), dlq);
  assert.deepEqual(await store.config.getAllConfig(), config);
  for (const job of list) assert.deepEqual(await store.jobs.getJob(job.id), job);
  for (const { id } of dlq) assert.equal((await store.jobs.getJob(id))?.state, 'dead');
  const counts = await store.jobs.countJobs();
  assert.equal(counts.dead, dlq.length);
  assert.equal(counts.pending, list.filter(({ state }) => state === 'pending').length);
}

for (const name of NAMES) {
  describe(`the directory ${name} of version 0.1.0`, () => {
    for (const role of ['command', 'worker', 'supervisor'] as const) {
      test(`is read by a ${role} as 0.1.0 read it, and so it is left`, async () => {
        const dir = copyOf(name);
        const store = fileStore(dir, { role, isAlive: () => false });
        await assertHolds(store, expectedOf(name));
        assert.equal(await store.close(), undefined);
        const again = fileStore(dir);
        await assertHolds(again, expectedOf(name));
        await again.close();
      });
    }

    test('is gone on with: jobs are added, claimed, settled, brought back', async () => {
      const dir = copyOf(name);
      const expected = expectedOf(name);
      const store = fileStore(dir, { role: 'worker', isAlive: () => false });
      await store.jobs.createJob(pendingJob({ id: 'new', created_at: NOW, run_at: NOW }));
      await assert.rejects(store.jobs.createJob(pendingJob({ id: taken(expected) })), {
        code: 'DUPLICATE_ID',
      });
      const claimed: string[] = [];
      for (let job = await store.jobs.claimNext('w1', NOW); job; job = await store.jobs.claimNext('w1', NOW)) {
        claimed.push(job.id);
        assert.equal(await store.jobs.markCompleted(job, NOW), true);
      }
      const waited = expected.list.filter(({ state, run_at }) => /pending|failed/.test(state) && run_at <= NOW);
      assert.deepEqual(claimed.sort(), [...waited.map(({ id }) => id), 'new'].sort());
      for (const { id } of expected.dlq)
        assert.equal((await store.dlq.retryFromDLQ(id, NOW))?.attempts_before, attemptsOf(expected, id));
      assert.equal(await store.close(), undefined);

      const again = fileStore(dir);
      const ids = [...expected.list, ...expected.dlq].map(({ id }) => id);
      assert.deepEqual((await again.jobs.listJobs()).map(({ id }) => id).sort(), [...ids, 'new'].sort());
      await again.close();
    });
  });
}

const taken = ({ dlq: [dead] }: Expected) => dead?.id ?? '';
const attemptsOf = ({ dlq }: Expected, id: string) => dlq.find((entry) => entry.id === id)?.attempts;

test('a job that its worker held when it was killed is settled by job and worker, and claimed anew with a number', async () => {
  const store = fileStore(copyOf('killed'), { role: 'worker' });
  const { records, unreadable } = await store.workers.list();
  assert.deepEqual(unreadable, []);
  assert.deepEqual(records.map(({ role }) => role).sort(), ['supervisor', 'worker']);
  const worker = records.find(({ role }) => role === 'worker');
  const held = await store.jobs.getJob('long');
  assert.ok(held?.state === 'processing' && worker !== undefined);
  assert.equal(held.worker_id, worker.id);
  assert.equal(held.claim_id, undefined);
  assert.equal(await store.jobs.release({ id: 'long', worker_id: worker.id, claim_id: 'another' }, NOW), false);
  assert.equal(await store.jobs.release({ id: 'long', worker_id: worker.id }, NOW), true);
  const next = await store.jobs.claimNext('w1', NOW);
  assert.ok(next?.claim_id !== undefined);
  await store.close();
});

test('fields and settings that neither version knows are in the files after all has been written anew', async () => {
  const dir = copyOf('unknown-fields');
  const store = fileStore(dir);
  await store.jobs.createJob(pendingJob({ id: 'new' }));
  await store.config.setConfig('max_retries', 4);
  await store.dlq.retryFromDLQ('dead', NOW);
  assert.equal(await store.close(), undefined);
  const parse = (file: string) => JSON.parse(fs.readFileSync(join(dir, file), 'utf8'));
  const jobs: (Job & Record<string, unknown>)[] = parse('queue.json');
  const field = (id: string, name: string) => jobs.find((job) => job.id === id)?.[name];
  assert.deepEqual(field('done', 'colour'), { deep: ['red', null] });
  assert.equal(field('done', 'error'), 7);
  assert.deepEqual(field('dead-too', 'tags'), ['a', 'b']);
  assert.equal(field('dead', 'colour'), 'blue');
  assert.equal(field('dead', 'state'), 'pending');
  assert.deepEqual(parse('dlq.json'), []);
  assert.deepEqual(parse('config.json').from_the_future, [1, 2]);
  assert.equal(parse('config.json').max_retries, 4);
});
