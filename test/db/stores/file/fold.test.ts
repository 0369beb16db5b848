import assert from 'node:assert/strict';
import fs from 'node:fs';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DeadEntry, deadEntryOf } from '../../../../db/model/deadEntry.js';
import type { Job } from '../../../../db/model/job.js';
import { storePaths } from '../../../../db/stores/file/paths.js';
import { View } from '../../../../db/stores/file/view.js';
import { deadEntry, pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { fileStore } from '../../../helpers/testStore.js';
import { foldingStore } from './foldingStore.js';
import { type FsCall, names, onFsCall } from './fsCalls.js';
import { type Contents, claimIdOf, contentsOf, perform, type Step } from './steps.js';

/** A store with a job in the queue and a dead one. */
async function newStore(t: TestContext) {
  const dir = join(tempStore(), 'store');
  const { store, fold } = foldingStore(dir);
  t.after(() => store.close());
  await store.jobs.createJob(pendingJob({ id: 'dead' }));
  await perform(store, { verb: 'claim', worker: 'w', now: T0 });
  await perform(store, { verb: 'bury', id: 'dead', worker: 'w', now: T0 });
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  await fold();
  return { store, fold, dir };
}

/** Whoever comes next finds all that the store held, and folds it. */
async function assertNextFolds(dir: string, contents: Contents): Promise<void> {
  const next = fileStore(dir);
  assert.deepEqual(await contentsOf(next), contents);
  await next.jobs.createJob(pendingJob({ id: 'b' }));
  assert.equal(await next.close(), undefined);
  assert.deepEqual(read(dir, 'dlq.json'), contents.dead);
  assert.equal(lines(dir).length, 2);
}

const read = (dir: string, file: string) => JSON.parse(fs.readFileSync(join(dir, file), 'utf8')) as unknown;
const lines = (dir: string) => fs.readFileSync(join(dir, 'journal.ndjson'), 'utf8').split('\n');

test('a fold writes the files whose records changed, and starts an empty journal', async (t) => {
  const { store, fold, dir } = await newStore(t);
  const inode = (file: string) => fs.statSync(join(dir, file)).ino;
  const before = { queue: inode('queue.json'), dlq: inode('dlq.json') };
  await store.jobs.claimNext('w', T0, claimIdOf('w'));
  assert.equal(lines(dir).length, 3);
  await fold();
  assert.notEqual(inode('queue.json'), before.queue);
  assert.equal(inode('dlq.json'), before.dlq);
  assert.deepEqual(read(dir, 'queue.json'), await store.jobs.listJobs());
  assert.equal(lines(dir).length, 2);

  await perform(store, { verb: 'bury', id: 'a', worker: 'w', now: T0 });
  await fold();
  assert.notEqual(inode('dlq.json'), before.dlq);
  assert.deepEqual(read(dir, 'dlq.json'), await store.dlq.listDLQ());
});

test('one record a line, the fields in the order of the documentation, then those that are optional or unknown', async (t) => {
  const { store, fold, dir } = await newStore(t);
  const { id, ...rest } = pendingJob({ id: 'b', created_at: T0 + 1, cwd: '/tmp' });
  const job = { ...rest, colour: 'red', priority: 1, id }; // in no particular order
  await store.jobs.createJob(pendingJob({ id: 'c', created_at: T0 - 1 }));
  await store.jobs.createJob(job);
  await perform(store, { verb: 'claim', worker: 'w', now: T0 });
  await perform(store, { verb: 'bury', id: 'b', worker: 'w', now: T0 });
  await fold();
  const queue = fs.readFileSync(join(dir, 'queue.json'), 'utf8');
  assert.equal(
    queue,
    `[
{"id":"c","command":"true","state":"pending","attempts":0,"max_retries":3,"run_at":${T0},"created_at":${T0 - 1},"updated_at":${T0},"processing_started_at":null,"worker_id":null,"last_error":null},
{"id":"a","command":"true","state":"pending","attempts":0,"max_retries":3,"run_at":${T0},"created_at":${T0},"updated_at":${T0},"processing_started_at":null,"worker_id":null,"last_error":null}
]
`,
  );
  const dlq = fs.readFileSync(join(dir, 'dlq.json'), 'utf8').split('\n');
  assert.equal(
    dlq[2],
    `{"id":"b","command":"true","attempts":1,"max_retries":3,"error":"exit code 1","failed_at":${T0},"created_at":${T0 + 1},"cwd":"/tmp","colour":"red","priority":1}`,
  );
  await store.dlq.retryFromDLQ('b', T0);
  await fold();
  const back = fs.readFileSync(join(dir, 'queue.json'), 'utf8').split('\n')[3];
  assert.equal(
    back,
    `{"id":"b","command":"true","state":"pending","attempts":0,"max_retries":3,"run_at":${T0},"created_at":${T0 + 1},"updated_at":${T0},"processing_started_at":null,"worker_id":null,"last_error":"exit code 1","cwd":"/tmp","colour":"red","priority":1,"attempts_before":1}`,
  );
});

/** Follows what a power cut would undo: bytes not synced, and names not synced. */
function powerCut() {
  const { openSync } = fs;
  const pathOf = new Map<unknown, string>();
  const bytes = new Set<string>();
  const directory = new Set<string>();
  const synced = new Set<string>();
  const base = (path: unknown) => String(path).replace(/^.*\//, '');
  return {
    atRisk: () => [...bytes, ...directory],
    synced,
    check({ name, args }: FsCall) {
      if (name === 'openSync') {
        const fd = Reflect.apply(openSync, fs, args);
        pathOf.set(fd, base(args[0]));
        return { result: fd };
      }
      const [subject, target] = args;
      const path = pathOf.get(subject) ?? '';
      if (name === 'writeSync') bytes.add(path);
      if (name === 'fdatasyncSync' || name === 'fsyncSync') {
        synced.add(path);
        if (path === 'store') directory.clear();
        else bytes.delete(path);
      }
      if (name === 'renameSync') {
        assert.ok(!bytes.has(base(subject)), `${base(subject)} gets its name before it is on disk`);
        const file = base(target);
        if (/\.tmp$/.test(file)) return undefined;
        if (file === 'journal.ndjson')
          assert.deepEqual([...directory], [], 'the new journal is there before its snapshot');
        else assert.ok(!bytes.has('journal.ndjson') || file === 'config.json', 'the snapshot is there before the seal');
        directory.add(file);
      }
      return undefined;
    },
  };
}

test('what is acknowledged outlives a power cut, and so does the order of a fold', async (t) => {
  const { store, fold } = await newStore(t);
  const durable: Step[] = [
    { verb: 'create', job: pendingJob({ id: 'b' }) },
    { verb: 'retry', id: 'dead', now: T0 },
    { verb: 'configure', key: 'max_retries', value: 5 },
    { verb: 'transaction', verbs: [{ verb: 'create', job: pendingJob({ id: 'c' }) }] },
  ];
  for (const step of durable) {
    const { check, atRisk } = powerCut();
    const end = onFsCall(check);
    try {
      await store.jobs.claimNext('w', T0, claimIdOf('w'));
      await fold();
      await perform(store, step);
      assert.deepEqual(atRisk(), [], `${step.verb} is acknowledged too early`);
    } finally {
      end();
    }
  }
});

test('the first job of all outlives a power cut', async () => {
  const { check, atRisk, synced } = powerCut();
  const parent = tempStore();
  const store = fileStore(join(parent, 'made', 'store'));
  const end = onFsCall(check);
  try {
    await store.jobs.createJob(pendingJob());
    assert.deepEqual(atRisk(), []);
    assert.ok(synced.has('made') && synced.has(basename(parent)));
  } finally {
    end();
  }
  await store.close();
});

test('at every moment of a fold readers see all of it, and every file is whole', async (t) => {
  const { store, fold, dir } = await newStore(t);
  const paths = storePaths(dir);
  let old = View.open(paths);
  await perform(store, {
    verb: 'transaction',
    verbs: [
      { verb: 'retry', id: 'dead', now: T0 },
      { verb: 'claim', worker: 'w', now: T0 },
      { verb: 'bury', id: 'a', worker: 'w', now: T0 },
      { verb: 'create', job: pendingJob({ id: 'b' }) },
    ],
  });
  const { jobs, dead } = await contentsOf(store);
  let moments = 0;
  let isReading = false;
  const end = onFsCall(() => {
    if (isReading) return undefined;
    isReading = true;
    const fresh = View.open(paths);
    old = old.refresh();
    for (const view of [fresh, old]) {
      assert.deepEqual(view.records.listQueue(), jobs);
      assert.deepEqual(view.records.listDead().map(entryOf), dead);
    }
    fresh.close();
    for (const file of ['queue.json', 'dlq.json', 'config.json']) read(dir, file);
    moments += 1;
    isReading = false;
    return undefined;
  });
  try {
    await fold();
  } finally {
    end();
    old.close();
  }
  assert.equal(lines(dir).length, 2);
  assert.ok(moments > 40);
});

test('a full disk stops a fold before it began; everything goes on, and the next fold catches up', async (t) => {
  const { writeSync } = fs;
  for (const nth of [0, 1, 2, 3]) {
    const { store, dir } = await newStore(t);
    await store.jobs.claimNext('w', T0, claimIdOf('w'));
    await perform(store, { verb: 'bury', id: 'a', worker: 'w', now: T0 });
    const contents = await contentsOf(store);
    const files = () => ['queue.json', 'dlq.json'].map((file) => fs.readFileSync(join(dir, file), 'utf8'));
    const before = files();
    let writes = 0;
    const end = onFsCall(({ name, args: [fd, bytes] }) => {
      if (name !== 'writeSync' || writes++ !== nth) return undefined;
      assert.ok(typeof fd === 'number' && Buffer.isBuffer(bytes));
      return { result: writeSync(fd, bytes.subarray(0, bytes.length - 1)) };
    });
    try {
      const failure = await store.close();
      assert.equal(failure?.code, 'STORAGE');
      assert.match(failure.message, /^cannot write .*: no space left on device\. Make room and try again\.$/);
    } finally {
      end();
    }
    assert.equal(writes, nth + 1);
    assert.deepEqual(files(), before);
    assert.deepEqual(
      fs.readdirSync(dir).filter((name) => name.includes('.tmp')),
      [],
    );
    await assertNextFolds(dir, contents);
  }
});

test('while there is no room for a fold, commits go on', async (t) => {
  const { store, fold, dir } = await newStore(t);
  const end = onFsCall(({ name, args: [, flags] }) => {
    if (name === 'openSync' && flags === 'w') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    return undefined;
  });
  try {
    await store.jobs.claimNext('w', T0, claimIdOf('w'));
    await fold();
    await store.jobs.createJob(pendingJob({ id: 'b' }));
    assert.equal((await store.jobs.listJobs()).length, 2);
    assert.equal((await store.close())?.code, 'STORAGE');
  } finally {
    end();
  }
  const next = fileStore(dir);
  assert.equal((await next.jobs.listJobs()).length, 2);
  assert.equal(await next.close(), undefined);
  assert.equal((read(dir, 'queue.json') as unknown[]).length, 2);
});

for (const file of ['queue.json', 'dlq.json', 'journal.ndjson']) {
  test(`a fold that cannot replace ${file} is finished by whoever comes next`, async (t) => {
    const { store, dir } = await newStore(t);
    await store.jobs.claimNext('w', T0, claimIdOf('w'));
    await perform(store, { verb: 'bury', id: 'a', worker: 'w', now: T0 });
    const contents = await contentsOf(store);
    const end = onFsCall((call) => {
      if (call.name === 'renameSync' && names(call, file)) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      return undefined;
    });
    try {
      const failure = await store.close();
      assert.equal(failure?.message, `cannot replace ${dir}/queue.json: input/output error. Check the disk.`);
    } finally {
      end();
    }
    await assertNextFolds(dir, contents);
  });
}

test('jobs that are only added are written behind the file as it was, the oldest first', async () => {
  const dir = tempStore();
  const batches = [
    [pendingJob({ id: 'a', created_at: T0 })],
    [pendingJob({ id: 'b', created_at: T0 }), pendingJob({ id: 'c', created_at: T0 + 5 })],
    [pendingJob({ id: 'd', created_at: T0 + 3 })],
    [pendingJob({ id: 'f', created_at: T0 + 9 }), pendingJob({ id: 'e', created_at: T0 + 7 })],
    [pendingJob({ id: 'g', created_at: T0 + 20 })],
  ];
  const added: Job[] = [];
  for (const batch of batches) {
    const store = fileStore(dir);
    for (const job of batch) await store.jobs.createJob(job);
    await store.close();
    added.push(...batch);
    added.sort((a, b) => a.created_at - b.created_at);
    const lines = added.map((job) => JSON.stringify(job));
    assert.equal(fs.readFileSync(join(dir, 'queue.json'), 'utf8'), `[\n${lines.join(',\n')}\n]\n`);
  }
});

test('a dead job that somebody wrote with fields of a job does not bring them back', async () => {
  const dir = tempStore();
  const entry = { ...deadEntry({ id: 'a' }), state: 'processing', worker_id: 'w9', run_at: 7, last_error: 'old' };
  fs.writeFileSync(join(dir, 'dlq.json'), JSON.stringify([entry]));
  const store = fileStore(dir);
  const job = await store.dlq.retryFromDLQ('a', T0);
  assert.equal(job?.state, 'pending');
  assert.equal(job.worker_id, null);
  assert.equal(job.run_at, T0);
  assert.equal(job.last_error, entry.error);
  await store.close();
});

function entryOf(job: Job): DeadEntry {
  assert.ok(job.state === 'dead');
  return deadEntryOf(job);
}
