import assert from 'node:assert/strict';
import fs from 'node:fs';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerRecord } from '../../../../db/model/worker.js';
import { currentIdentity } from '../../../../utils/processIdentity.js';
import { assertWithin } from '../../../helpers/assertWithin.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { type FileTestStore, fileStore, type TestOptions } from '../../../helpers/testStore.js';
import { waitFor } from '../../../helpers/waitFor.js';
import { foldingStore } from './foldingStore.js';
import { names, onFsCall, opensToWrite } from './fsCalls.js';

function open(t: TestContext, dir: string, options?: TestOptions): FileTestStore {
  const store = fileStore(dir, options);
  t.after(() => store.close());
  return store;
}

const thisWorker = (): WorkerRecord => {
  return { ...currentIdentity(), id: 'w', role: 'worker', started_at: T0, supervisor_id: null };
};

/** The ids in queue.json, as `jq` sees them. */
const inSnapshot = (dir: string) =>
  (JSON.parse(fs.readFileSync(join(dir, 'queue.json'), 'utf8')) as { id: string }[]).map(({ id }) => id);

test('reading makes nothing; the first change makes the directory', async (t) => {
  const dir = join(tempStore(), 'deep', 'store');
  const store = open(t, dir);
  assert.deepEqual(await store.jobs.listJobs(), []);
  assert.deepEqual(await store.workers.list(), { records: [], unreadable: [] });
  assert.equal(await store.config.getConfig('max_retries'), 3);
  assert.equal(await fileStore(dir).close(), undefined);
  assert.equal(fs.existsSync(join(dir, '..')), false);
  await store.jobs.createJob(pendingJob());
  assert.deepEqual(fs.readdirSync(dir).sort(), ['config.json', 'dlq.json', 'journal.ndjson', 'lock', 'queue.json']);
});

test('files are for the owner alone from the first moment, whatever the umask', async (t) => {
  const umask = process.umask(0);
  t.after(() => process.umask(umask));
  const dir = join(tempStore(), 'deep', 'store');
  const modes = new Set<string>();
  const look = (path: string) => {
    for (const entry of fs.readdirSync(path, { withFileTypes: true, recursive: true })) {
      const mode = fs.statSync(join(entry.parentPath, entry.name)).mode & 0o777;
      modes.add(`${entry.isDirectory() ? 'directory' : 'file'} ${mode.toString(8)}`);
    }
  };
  let isLooking = false;
  const end = onFsCall(() => {
    if (!isLooking && fs.existsSync(join(dir, '..'))) {
      isLooking = true;
      look(join(dir, '..', '..'));
      isLooking = false;
    }
    return undefined;
  });
  try {
    const store = fileStore(dir);
    await store.jobs.createJob(pendingJob({ id: 'a' }));
    await store.config.setConfig('max_retries', 1);
    await store.workers.register(thisWorker());
    await store.workers.unregister('w');
    await store.close();
  } finally {
    end();
  }
  look(dir);
  assert.deepEqual([...modes].sort(), ['directory 700', 'file 600']);
});

test('close leaves the files alone while a worker lives, and tidies up when the last one is gone', async (t) => {
  const dir = tempStore();
  const isAlive = ({ start_time }: WorkerRecord) => start_time !== 'never';
  const store = open(t, dir, { isAlive });
  await store.workers.register({ ...thisWorker(), id: 'dead', start_time: 'never' });
  await store.workers.register(thisWorker());
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  assert.equal(await store.close(), undefined);
  assert.deepEqual(inSnapshot(dir), []);

  const next = open(t, dir, { isAlive });
  await next.workers.unregister('w');
  assert.equal(await next.close(), undefined);
  assert.deepEqual(inSnapshot(dir), ['a']);
  const size = fs.statSync(join(dir, 'journal.ndjson')).size;
  assert.equal(await fileStore(dir).close(), undefined);
  assert.equal(fs.statSync(join(dir, 'journal.ndjson')).size, size);
});

test('who keeps the files fresh folds while commits come, once the snapshot is a second old', async (t) => {
  const dir = tempStore();
  let now = T0;
  const store = open(t, dir, { clock: () => now, role: 'worker' });
  const other = open(t, dir, { clock: () => now });
  const frozen = process.hrtime();
  t.mock.method(process, 'hrtime', () => frozen); // the last commit is always a moment ago
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  now += 990;
  await store.jobs.createJob(pendingJob({ id: 'b' }));
  await delay(400);
  assert.deepEqual(inSnapshot(dir), []);
  now += 10;
  await other.jobs.createJob(pendingJob({ id: 'c' }));
  assert.deepEqual(inSnapshot(dir), []);
  await waitFor(() => inSnapshot(dir).length > 0);
  assert.deepEqual(inSnapshot(dir), ['a', 'b', 'c']);
});

test('but not before ten times what a fold costs has passed, be it busy or idle', async (t) => {
  const dir = tempStore();
  let now = T0;
  const store = open(t, dir, { clock: () => now, role: 'worker' });
  t.mock.method(process, 'hrtime', () => {
    now += 100; // so that a fold takes that long
    return [0, now * 1e6];
  });
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  t.mock.restoreAll();
  const [header = ''] = fs.readFileSync(join(dir, 'journal.ndjson'), 'utf8').split('\n');
  const { folded_at, fold_ms } = JSON.parse(header) as { folded_at: number; fold_ms: number };
  assert.ok(fold_ms >= 100);
  now = folded_at + 10 * fold_ms - 1;
  await store.jobs.createJob(pendingJob({ id: 'b' }));
  await store.store.fold(0);
  assert.deepEqual(inSnapshot(dir), []);
  now += 1;
  await store.store.fold(0);
  assert.deepEqual(inSnapshot(dir), ['a', 'b']);
});

test('who keeps the files fresh and becomes idle folds without waiting for the second to pass', async (t) => {
  const dir = tempStore();
  const store = open(t, dir, { role: 'worker' });
  await store.workers.register(thisWorker());
  const [first, second] = [pendingJob({ id: 'a' }), pendingJob({ id: 'b' })];
  await store.jobs.createJob(first);
  const started = performance.now();
  await store.jobs.createJob(second);
  await store.jobs.countJobs();
  assert.deepEqual(inSnapshot(dir), []);
  await waitFor(() => inSnapshot(dir).length === 2);
  // On a machine that is not busy it takes 0.2 s, and while commits come a second.
  assert.ok(performance.now() - started >= 190);
});

test('who does not keep the files fresh folds when it leaves, and not before', async (t) => {
  const dir = tempStore();
  for (const role of ['command', 'supervisor'] as const) {
    const store = open(t, dir, { role });
    await store.jobs.createJob(pendingJob({ id: `first of a ${role}` }));
    await store.jobs.createJob(pendingJob({ id: role }));
    await store.jobs.countJobs();
    assert.ok(!inSnapshot(dir).includes(role));
    assert.equal(await store.close(), undefined);
    assert.ok(inSnapshot(dir).includes(role));
  }
});

/** A store at rest with one job, `a`. */
async function storeAtRest(): Promise<string> {
  const dir = tempStore();
  const store = fileStore(dir);
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  await store.close();
  return dir;
}

test('a command at rest commits what it adds first by a fold, and appends from then on', async (t) => {
  const dir = await storeAtRest();
  const [store, reader] = [open(t, dir), open(t, dir)];
  const idsSeen = async () => (await reader.jobs.listJobs()).map(({ id }) => id);
  assert.deepEqual(await idsSeen(), ['a']);
  await store.jobs.createJob(pendingJob({ id: 'b', created_at: T0 + 1 }));
  assert.deepEqual(inSnapshot(dir), ['a', 'b']);
  assert.equal(fs.readFileSync(join(dir, 'journal.ndjson'), 'utf8').split('\n').length, 2);
  assert.deepEqual(await idsSeen(), ['a', 'b']);
  await store.jobs.createJob(pendingJob({ id: 'c', created_at: T0 + 2 }));
  assert.deepEqual(inSnapshot(dir), ['a', 'b']);
  assert.deepEqual(await idsSeen(), ['a', 'b', 'c']);
  await reader.jobs.createJob(pendingJob({ id: 'd', created_at: T0 + 3 }));
  assert.deepEqual(inSnapshot(dir), ['a', 'b'], 'there is a line to fold, so it adds one');
});

for (const code of ['ENOENT', 'EIO']) {
  test(`a fold that has committed is on disk and not done over when it goes no further (${code})`, async (t) => {
    const dir = await storeAtRest();
    const [store, reader] = [open(t, dir), open(t, dir)];
    await reader.jobs.listJobs();
    let isCutShort = false;
    let isOnDisk = false;
    const end = onFsCall((call) => {
      if (call.name === 'fsyncSync') isOnDisk = isCutShort;
      if (call.name !== 'renameSync' || !names(call, 'journal.ndjson')) return undefined;
      isCutShort = true;
      throw Object.assign(new Error(code), { code });
    });
    try {
      await store.jobs.createJob(pendingJob({ id: 'b', created_at: T0 + 1 }));
    } finally {
      end();
    }
    assert.ok(isCutShort && isOnDisk);
    assert.deepEqual(inSnapshot(dir), ['a', 'b']);
    await store.jobs.createJob(pendingJob({ id: 'c', created_at: T0 + 2 }));
    assert.equal((await reader.jobs.countJobs()).pending, 3);
    assert.equal(await store.close(), undefined);
    assert.deepEqual(inSnapshot(dir), ['a', 'b', 'c']);
  });
}

test('a clock that was set back does not keep the snapshot from being written', async (t) => {
  const dir = tempStore();
  let now = T0;
  const store = open(t, dir, { clock: () => now, role: 'worker' });
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  now -= 86_400_000;
  await store.jobs.createJob(pendingJob({ id: 'b' }));
  await waitFor(() => inSnapshot(dir).length === 2);
});

test('who keeps the files fresh does so without being asked again', async (t) => {
  const dir = tempStore();
  const store = open(t, dir, { role: 'worker' });
  const other = open(t, dir);
  await other.workers.register(thisWorker());
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  await other.jobs.createJob(pendingJob({ id: 'b' }));
  await store.jobs.countJobs();
  const started = performance.now();
  await waitFor(() => inSnapshot(dir).length === 2);
  await assertWithin(performance.now() - started, 3000, 'the fold');
});

test('who keeps the files fresh finds what others commit later, whether or not it is told', async (t) => {
  for (const watches of [false, true]) {
    const dir = tempStore();
    const store = open(t, dir, { role: 'worker' });
    const other = open(t, dir);
    await other.workers.register(thisWorker());
    await store.jobs.createJob(pendingJob({ id: 'a' }));
    await waitFor(() => inSnapshot(dir).length === 1);
    if (watches) store.store.subscribe(() => {})();
    await other.jobs.createJob(pendingJob({ id: 'b' }));
    assert.deepEqual(inSnapshot(dir), ['a']);
    await waitFor(() => inSnapshot(dir).length === 2);
    await store.close();
    const late = open(t, dir);
    await late.jobs.createJob(pendingJob({ id: 'c' }));
    await delay(1500);
    assert.deepEqual(inSnapshot(dir), ['a', 'b'], 'not once it is closed');
  }
});

test('who is told of what others commit does not look for it', async (t) => {
  const dir = tempStore();
  const store = open(t, dir, { role: 'worker' });
  await store.workers.register(thisWorker());
  const end = store.store.subscribe(() => {});
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  await waitFor(() => inSnapshot(dir).length === 1);
  await open(t, dir).jobs.createJob(pendingJob({ id: 'b' }));
  await delay(2500);
  assert.deepEqual(inSnapshot(dir), ['a']);
  end();
  await waitFor(() => inSnapshot(dir).length === 2);
});

test('a fold that failed is tried again, and once it succeeds close has nothing to tell', async (t) => {
  const dir = tempStore();
  const store = open(t, dir, { role: 'worker' });
  await store.workers.register(thisWorker());
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  await store.jobs.countJobs();
  let failures = 0;
  const end = onFsCall((call) => {
    if (call.name !== 'renameSync' || !names(call, 'queue.json')) return undefined;
    failures += 1;
    throw Object.assign(new Error('EIO'), { code: 'EIO' });
  });
  try {
    await waitFor(() => failures > 0);
  } finally {
    end();
  }
  assert.equal((await store.jobs.listJobs()).length, 1);
  await waitFor(() => inSnapshot(dir).length === 1);
  assert.equal(await store.close(), undefined);
});

test('a fold that fails before it looks at the journal is tried again, though nobody asks for anything', async (t) => {
  const dir = tempStore();
  const store = open(t, dir, { role: 'worker' });
  await store.workers.register(thisWorker());
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  let failures = 0;
  const end = onFsCall(({ name }) => {
    if (name !== 'readdirSync' || failures > 0) return undefined;
    failures += 1;
    throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
  });
  t.after(end);
  await waitFor(() => inSnapshot(dir).length === 1);
  assert.equal(failures, 1);
});

test('a worker that ends beside others leaves no change for longer than the second that is promised', async (t) => {
  const dir = tempStore();
  let now = T0;
  const [store, other] = [0, 1].map(() => open(t, dir, { clock: () => now, role: 'worker' })) as [
    FileTestStore,
    FileTestStore,
  ];
  await other.workers.register(thisWorker());
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  now += 1500;
  await store.jobs.createJob(pendingJob({ id: 'b' }));
  await store.close();
  assert.deepEqual(inSnapshot(dir), ['a', 'b']);
});

test('a store that is closed while it folds goes on with its journal', async (t) => {
  for (let ahead = 0; ahead <= 60; ahead += 2) {
    const dir = tempStore();
    let now = T0;
    const store = open(t, dir, { clock: () => now, role: 'worker' });
    await store.workers.register(thisWorker());
    await store.jobs.createJob(pendingJob({ id: 'a' }));
    now += 100_000;
    const folding = store.store.fold(0);
    for (let turn = 0; turn < ahead; turn++) await undefined;
    await store.close();
    await folding;
    const [header = ''] = fs.readFileSync(join(dir, 'journal.ndjson'), 'utf8').split('\n');
    const { first } = JSON.parse(header) as { first: number };
    assert.ok(first > 1, `${ahead} turns ahead a journal began with number ${first}`);
  }
});

test('a fold that failed is no matter once somebody else has folded', async (t) => {
  const dir = tempStore();
  let now = T0;
  const store = open(t, dir, { clock: () => now, role: 'worker' });
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  now += 60_000;
  const end = onFsCall((call) => {
    if (call.name !== 'renameSync' || !names(call, 'queue.json')) return undefined;
    throw Object.assign(new Error('EIO'), { code: 'EIO' });
  });
  try {
    await store.store.fold(0);
  } finally {
    end();
  }
  const other = open(t, dir);
  assert.equal((await other.jobs.listJobs()).length, 1);
  assert.equal(await other.close(), undefined);
  assert.deepEqual(inSnapshot(dir), ['a']);
  assert.equal(await store.close(), undefined);
});

test('a transaction whose lock is lost is begun again from the start, and counts once', async (t) => {
  const dir = tempStore();
  const [store, other] = [open(t, dir), open(t, dir)];
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  let runs = 0;
  const claimed = await store.transaction(async ({ jobs }) => {
    runs += 1;
    const job = await jobs.claimNext('slow', T0);
    await jobs.createJob(pendingJob({ id: `added by run ${runs}` }));
    if (runs === 1) {
      fs.rmSync(join(dir, 'lock/store'));
      await other.jobs.createJob(pendingJob({ id: 'urgent', priority: 1 }));
    }
    return job;
  });
  assert.equal(runs, 2);
  assert.equal(claimed?.id, 'urgent');
  for (const handle of [store, other, open(t, dir)]) {
    const jobs = await handle.jobs.listJobs();
    assert.deepEqual(jobs.map(({ id }) => id).sort(), ['a', 'added by run 2', 'urgent']);
    assert.equal(jobs.find(({ id }) => id === 'a')?.attempts, 0);
  }
});

test('a commit that was not acknowledged is not seen by the handle that made it', async (t) => {
  const dir = tempStore();
  const store = open(t, dir);
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  await store.jobs.listJobs();
  const end = onFsCall(({ name }) => {
    if (name === 'writeSync') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    return undefined;
  });
  try {
    await assert.rejects(store.jobs.claimNext('w', T0), {
      code: 'STORAGE',
      message: `cannot write ${dir}/journal.ndjson: no space left on device. Make room and try again.`,
    });
  } finally {
    end();
  }
  assert.equal((await store.jobs.getJob('a'))?.state, 'pending');
  assert.equal((await store.jobs.claimNext('w', T0))?.attempts, 1);
});

const REFUSALS: [code: string, message: string][] = [
  ['EACCES', 'permission denied. Check who owns it and its permissions, or choose another place for the queue.'],
  ['EROFS', 'read-only file system. The file system is read-only; choose another place for the queue.'],
];
for (const [code, words] of REFUSALS) {
  test(`a store that cannot be locked (${code}) can be read, and says what is wrong when it is to be changed`, async (t) => {
    const dir = tempStore();
    const store = open(t, dir);
    await store.jobs.createJob(pendingJob({ id: 'a' }));
    const end = onFsCall(({ name, args: [path, flags] }) => {
      if ((name === 'linkSync' || (name === 'openSync' && opensToWrite(flags))) && String(path).startsWith(dir))
        throw Object.assign(new Error(code), { code });
      return undefined;
    });
    try {
      const reader = fileStore(dir);
      assert.equal((await reader.jobs.listJobs()).length, 1);
      await assert.rejects(reader.jobs.createJob(pendingJob()), { code: 'STORAGE', message: new RegExp(`${words}$`) });
    } finally {
      end();
    }
  });
}

test('a data directory that is a file is named', async () => {
  const dir = join(tempStore(), 'file');
  fs.writeFileSync(dir, '');
  const message = `cannot lock ${dir}: not a directory. Choose another place for the queue.`;
  await assert.rejects(fileStore(dir).jobs.createJob(pendingJob()), { code: 'STORAGE', message });
});

test('what was committed before a fold that was cut short is seen by all who follow, once', async (t) => {
  const dir = tempStore();
  const worker = open(t, dir, { role: 'worker' });
  await worker.jobs.createJob(pendingJob({ id: 'a' }));
  await worker.close();
  const followers = [open(t, dir, { role: 'worker' }), open(t, dir, { role: 'command' }), open(t, dir)];
  for (const store of followers) assert.equal((await store.jobs.listJobs()).length, 1);

  const once = open(t, dir, { role: 'command' });
  const end = onFsCall((call) => {
    if (call.name === 'renameSync' && names(call, 'journal.ndjson'))
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    return undefined;
  });
  await once.jobs.createJob(pendingJob({ id: 'b', created_at: T0 + 1 }));
  assert.equal((await once.close())?.code, 'STORAGE');
  end();
  const isSealed = fs.readFileSync(join(dir, 'journal.ndjson'), 'utf8').includes('"seal"');
  assert.ok(isSealed);
  for (const [index, store] of followers.entries()) {
    await store.jobs.createJob(pendingJob({ id: `c${index}`, created_at: T0 + 2 + index }));
  }
  for (const store of [...followers, open(t, dir)]) {
    assert.deepEqual(
      (await store.jobs.listJobs()).map(({ id }) => id),
      ['a', 'b', 'c0', 'c1', 'c2'],
    );
  }
});

test('beside a worker, a job with a new id costs no look at the snapshot, and who looks later looks at the right one', async (t) => {
  const dir = tempStore();
  const { store: worker, fold } = foldingStore(dir);
  t.after(() => worker.close());
  await worker.workers.register(thisWorker());
  await worker.jobs.createJob(pendingJob({ id: 'a' }));
  await fold();
  const store = open(t, dir);
  const opened: string[] = [];
  const end = onFsCall(({ name, args }) => {
    if (name === 'openSync') opened.push(basename(String(args[0])));
    return undefined;
  });
  await store.jobs.createJob(pendingJob({ id: 'b', created_at: T0 + 1 }), true);
  end();
  assert.ok(opened.includes('journal.ndjson') && !opened.includes('queue.json'), String(opened));
  await fold();
  await store.jobs.createJob(pendingJob({ id: 'c', created_at: T0 + 2 }), true);
  const meanwhile = onFsCall((call) => {
    if (call.name !== 'openSync' || !names(call, 'queue.json')) return undefined;
    meanwhile();
    fs.writeFileSync(join(dir, 'other.json'), '[]\n');
    fs.renameSync(join(dir, 'other.json'), join(dir, 'queue.json'));
    return undefined;
  });
  await assert.rejects(store.jobs.listJobs(), { code: 'DAMAGED' });
});

test('a worker record that cannot be read keeps nobody from adding a job', async (t) => {
  const dir = tempStore();
  const store = open(t, dir, { role: 'command' });
  await store.jobs.createJob(pendingJob({ id: 'a' }));
  fs.mkdirSync(join(dir, 'workers'));
  fs.writeFileSync(join(dir, 'workers', 'w.json'), '{');
  await store.jobs.createJob(pendingJob({ id: 'b', created_at: T0 + 1 }));
  assert.equal(await store.close(), undefined);
  assert.deepEqual(inSnapshot(dir), ['a', 'b']);
});

test('where no lock can be kept, a change is refused and not tried for ever', async (t) => {
  const dir = tempStore();
  const store = open(t, dir);
  const end = onFsCall(({ name }) => {
    if (name === 'writeSync') fs.rmSync(join(dir, 'lock/store'), { force: true });
    return undefined;
  });
  try {
    const lost = { code: 'BUSY', fact: `the lock of ${dir} was lost 5 times in a row` };
    await assert.rejects(store.jobs.createJob(pendingJob()), lost);
    await assert.rejects(store.config.setConfig('max_retries', 1), lost);
  } finally {
    end();
  }
  assert.deepEqual(fs.readdirSync(dir), ['lock']);
});
