/** A disk without room: commands say so, workers wait until there is some, and no file is ever half a file. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe } from 'node:test';
import { byKind, storeTest, type TestStore } from '../integration/support.js';
import { mountingTests, withTmpfs } from './mounts.js';
import { assertDone, assertRefused, type Ended, EVERY_CASE, eventually, queuectl, run } from './run.js';

const PAGE_BYTES = 4096;
const isInFiles = byKind({ file: true, sqlite: false });
/** With room for some dozen jobs to be run before it is full: SQLite keeps 4 MB of pages in its journal. */
const SIZE = byKind({ file: 'size=512k', sqlite: 'size=6m' });

mountingTests(import.meta.filename, () => {
  describe('a full disk', { concurrency: 3 }, () => {
    storeTest('a command that finds no room says so, and no file is ever half a file', (store) =>
      withTmpfs(store.directory, SIZE, async () => {
        await store.enqueue(...jobs(400));
        const reader = isInFiles ? readAllTheTime(store) : undefined;
        const acknowledged = new Set(store.queue().map(({ id }) => id));
        const ends = new Set<string>();
        for (let pages = 0; pages < (EVERY_CASE ? 60 : 40); pages += EVERY_CASE ? 1 : 3) {
          if (pages === 0 && isInFiles) fillLastPage(join(store.dataDir, 'journal.ndjson')); // an empty line is void
          fillUp(store.directory, pages);
          const id = `with-${pages}-pages`;
          const ended = await run(queuectl('enqueue', '--id', id, 'true'), store);
          if (ended.code === 0) acknowledged.add(id);
          else assertRefusedForRoom(ended, id);
          ends.add(`${ended.code}`);
          if (!isInFiles) makeRoom(store.directory); // who reads shares memory, which is a file
          assert.equal(await countPending(store), acknowledged.size, id);
        }
        assert.deepEqual([...ends].sort(), ['0', '1'], 'the disk was not full, or always');
        fillUp(store.directory, 0);
        assertRefusedForRoom(await run(queuectl('worker-start'), store), 'worker-start');
        assertRefusedForRoom(await run(queuectl('config-set', 'max_retries', '5'), store), 'config-set');
        makeRoom(store.directory);
        assertDone(await run(queuectl('enqueue', '--id', 'last', 'true'), store), 'with room');
        if (reader !== undefined) assert.ok((await reader.stop()) > 100, 'the reader has read too little');
        assert.deepEqual(new Set(store.queue().map(({ id }) => id)), acknowledged.add('last'));
        await store.assertNothingLeft();
      }),
    );

    storeTest('workers wait for room, then go on by themselves; no job is lost or run twice', (store) =>
      withTmpfs(store.directory, SIZE, async () => {
        await store.enqueue(...jobs(300, `echo $QUEUECTL_JOB_ID >> runs; sleep 0.02`));
        const workers = await store.startWorkers('--count', '2');
        const reader = isInFiles ? readAllTheTime(store) : undefined;
        await eventually(() => store.lines('runs').length > 20);
        fillLastPage(join(store.dataDir, 'workers/workers.log')); // they cannot even complain
        fillUp(store.directory, 0);
        await eventually(async () => (await run(queuectl('enqueue', 'true'), store)).code === 1);
        await nothingRuns(store);
        const before = store.lines('runs').length;
        assert.ok(before < 300, 'they were done before the disk was full');
        makeRoom(store.directory);
        await eventually(() => store.completed() >= 300);
        assert.deepEqual(
          store
            .records('worker')
            .map(({ pid }) => pid)
            .sort(),
          workers.sort(),
          'a worker has died',
        );
        await store.ok('worker-stop');
        await reader?.stop();
        assert.equal(new Set(store.lines('runs')).size, store.lines('runs').length, 'a job has run twice');
        await store.assertNothingLeft();
      }),
    );

    // In memory a lock takes an inode, too, so this is for a store that has none of these.
    storeTest(
      'no inode for the directory of the logs: no attempt counts, the workers say why, and it is done once there is one',
      (store) =>
        withTmpfs(store.dataDir, 'size=1m,nr_inodes=20', async ({ dir }) => {
          const [worker] = await store.startWorkers();
          useUpInodes(dir);
          await store.enqueue({ id: 'a', command: 'true', max_retries: 0 });
          await eventually(() =>
            /a job could not be started: cannot make .*logs: no space left/.test(workersLog(store)),
          );
          makeRoom(dir);
          await eventually(() => store.completed() === 1);
          assert.equal(store.job('a').attempts, 1);
          assert.deepEqual(
            store.records('worker').map(({ pid }) => pid),
            [worker],
          );
          await store.ok('worker-stop');
        }),
      isInFiles ? 'the lock of a store in files needs an inode' : undefined,
    );

    for (const [what, fill, isTold] of [
      [
        'no room for what a job prints: the job fails, says why',
        (dir: string) => fillUp(dir, 0),
        (store: TestStore) => /^exit code \d/.test(store.job('prints').last_error ?? ''),
      ],
      [
        'no room for a log file: no attempt counts, the workers say why',
        useUpInodes,
        (store: TestStore) =>
          /a job could not be started: cannot open the log file .*: no space left on device/.test(workersLog(store)),
      ],
    ] as const) {
      storeTest(`${what}, and it is done once there is room`, (store) =>
        withTmpfs(join(store.dataDir, 'logs'), 'size=64k,nr_inodes=20', async ({ dir }) => {
          await store.ok('config-set', 'backoff_base', '1');
          await store.enqueue({ id: 'prints', command: 'echo hello', max_retries: 30 });
          fill(dir);
          const [worker] = await store.startWorkers();
          await eventually(() => isTold(store));
          makeRoom(dir);
          await eventually(() => store.job('prints').state === 'completed');
          if (what.includes('no attempt counts')) assert.equal(store.job('prints').attempts, 1);
          assert.deepEqual(
            store.records('worker').map(({ pid }) => pid),
            [worker],
          );
          await store.ok('worker-stop');
          assert.equal(await store.ok('logs', 'prints').then((output) => output.includes('hello')), true);
          await store.assertNothingLeft();
        }),
      );
    }
  });
});

const workersLog = (store: TestStore) => fs.readFileSync(join(store.dataDir, 'workers/workers.log'), 'utf8');

const jobs = (count: number, command = 'true') =>
  Array.from({ length: count }, (_, at) => ({ id: `job-${at}`, command }));

/** What is in the journal may find no room in the snapshot yet, and a command that looks says so. */
async function countPending(store: TestStore): Promise<number> {
  const { code, stdout, stderr } = await store.run(['status', '--json']);
  assert.equal(code, 0);
  if (stderr !== '') assert.match(JSON.parse(stderr).warning.fact, /no space left on device/);
  return JSON.parse(stdout).pending;
}

function assertRefusedForRoom(ended: Ended, what: string): void {
  assertRefused({ ...ended, stdout: ended.stdout.replace('Starting 1 worker process...\n', '') }, what);
  assert.match(ended.stderr, /no space left on device\. Make room and try again\.\n$/, what);
}

const filler = (dir: string) => join(dir, 'filler');

/** Takes all the room of a file system but so many pages. */
function fillUp(dir: string, pagesLeft: number): void {
  makeRoom(dir);
  const file = fs.openSync(filler(dir), 'w');
  try {
    for (;;) fs.writeSync(file, Buffer.alloc(PAGE_BYTES));
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'ENOSPC', String(error));
    fs.ftruncateSync(file, Math.max(fs.fstatSync(file).size - pagesLeft * PAGE_BYTES, 0));
  } finally {
    fs.closeSync(file);
  }
}

function fillLastPage(path: string): void {
  fs.appendFileSync(path, '\n'.repeat(PAGE_BYTES - (fs.statSync(path).size % PAGE_BYTES)));
}

function useUpInodes(dir: string): void {
  fs.mkdirSync(filler(dir));
  assert.throws(
    () => {
      for (let at = 0; ; at++) fs.writeFileSync(join(filler(dir), String(at)), '');
    },
    { code: 'ENOSPC' },
  );
}

const makeRoom = (dir: string) => fs.rmSync(filler(dir), { recursive: true, force: true });

const QUIET_MS = 700;

/** Waits until no job has begun for a while. */
async function nothingRuns(store: TestStore): Promise<void> {
  let [seen, since] = [-1, 0];
  await eventually(() => {
    const now = store.lines('runs').length;
    if (now !== seen) [seen, since] = [now, performance.now()];
    return performance.now() - since > QUIET_MS;
  });
}

const READER = `
  const fs = require('fs');
  let reads = 0;
  for (; !fs.existsSync(process.argv[2]); reads++) JSON.parse(fs.readFileSync(process.argv[1], 'utf8'));
  console.log(reads);
`;

/** Parses queue.json over and over. @returns what stops it, and tells how often it has done so */
function readAllTheTime(store: TestStore): { stop(): Promise<number> } {
  const stopFile = join(store.root, 'stop-reading');
  const reader: ChildProcess = spawn(process.execPath, ['-e', READER, join(store.dataDir, 'queue.json'), stopFile], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const output = reader.stdout === null ? Promise.resolve('') : text(reader.stdout);
  const exited = once(reader, 'exit');
  return {
    async stop() {
      fs.writeFileSync(stopFile, '');
      assert.deepEqual(await exited, [0, null], 'the reader has met half a file');
      return Number(await output);
    },
  };
}
