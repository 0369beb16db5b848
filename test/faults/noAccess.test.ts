/** A store that cannot be used as it is: commands say in one line what is wrong, at once, and nothing is lost. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PROGRAM } from '../helpers/runCli.js';
import { sqliteMissing } from '../helpers/sqliteTest.js';
import { byKind, shelfAt, storeTest, type TestStore } from '../integration/support.js';
import { ALL, checkIntact, type Name, refusedCommands, WRITING } from './everyCommand.js';
import { assertDone, eventually, missing, queuectl, run } from './run.js';
import { fill } from './scenarios.js';

const aside = (path: string) => `${path}.aside`;

/** Puts something in the place of a file or directory of the store. @returns what undoes it */
function replace(store: TestStore, name: string, put: (path: string) => void): () => void {
  const path = join(store.directory, name);
  const was = fs.existsSync(path);
  if (was) fs.renameSync(path, aside(path));
  put(path);
  return () => {
    fs.rmSync(path, { recursive: true });
    if (was) fs.renameSync(aside(path), path);
  };
}

const asFile = (path: string) => fs.writeFileSync(path, '');
const asDirectory = (path: string) => fs.mkdirSync(path);

/** Who opens it waits for somebody to open its other end. */
const asFifo = (path: string) => void execFileSync('mkfifo', [path]);

const READING_JOBS = ALL.filter((name) => name !== 'config-set');
type Place = readonly [title: string, name: string, put: (path: string) => void, refused: readonly Name[]];

const PLACES_IN_FILES: readonly Place[] = [
  ['a file where the data directory should be', '', asFile, ALL],
  ['a file where lock/ should be', 'lock', asFile, ['enqueue', 'dlq-retry', 'config-set']],
  ['a directory where the lock should be', 'lock/store', asDirectory, ['enqueue', 'dlq-retry', 'config-set']],
  ['a file where workers/ should be', 'workers', asFile, ['status', 'worker-start']],
  ['a directory where workers.log should be', 'workers/workers.log', asDirectory, ['worker-start']],
  ['a directory where queue.json should be', 'queue.json', asDirectory, READING_JOBS],
  ['a directory where dlq.json should be', 'dlq.json', asDirectory, READING_JOBS],
  ['a directory where config.json should be', 'config.json', asDirectory, ['enqueue', 'config-set', 'worker-start']],
  ['a directory where the journal should be', 'journal.ndjson', asDirectory, READING_JOBS],
  ['a FIFO where the lock should be', 'lock/store', asFifo, ['enqueue', 'dlq-retry', 'config-set']],
  ['a FIFO where workers.log should be', 'workers/workers.log', asFifo, ['worker-start']],
  ['a FIFO where queue.json should be', 'queue.json', asFifo, READING_JOBS],
  ['a FIFO where config.json should be', 'config.json', asFifo, ['enqueue', 'config-set', 'worker-start']],
  ['a FIFO where the journal should be', 'journal.ndjson', asFifo, READING_JOBS],
];
const PLACES_BESIDE_A_DATABASE: readonly Place[] = [
  ['a file where the directory should be', '', asFile, ALL],
  ['a directory where the database should be', 'queue.db', asDirectory, ALL],
  ['a directory where the journal should be', 'queue.db-wal', asDirectory, ALL],
  ['a directory where the shared memory should be', 'queue.db-shm', asDirectory, WRITING],
  ['a file where the state directory should be', 'queue.db-state', asFile, ['status', 'worker-start']],
  ['a file where workers/ should be', 'queue.db-state/workers', asFile, ['status', 'worker-start']],
  ['a directory where workers.log should be', 'queue.db-state/workers/workers.log', asDirectory, ['worker-start']],
  ['a FIFO where the database should be', 'queue.db', asFifo, ALL],
  ['a FIFO where workers.log should be', 'queue.db-state/workers/workers.log', asFifo, ['worker-start']],
];
const PLACES = byKind({ file: PLACES_IN_FILES, sqlite: PLACES_BESIDE_A_DATABASE });

describe('a store that is not what it should be', { concurrency: 3 }, () => {
  for (const [title, name, put, expected] of PLACES) {
    storeTest(`${title} is named at once`, async (store) => {
      await fill(store.directory);
      fs.mkdirSync(join(store.dataDir, 'workers'), { recursive: true });
      const undo = replace(store, name, put);
      const culprit = join(store.directory, name === 'lock' ? '' : name);
      assert.deepEqual(await refusedCommands({ directory: store.directory, env: store.env, culprit }), expected);
      undo();
      await checkIntact(store);
    });
  }

  storeTest('a place where no directory can be made is named at once', async (store) => {
    const directory = '/proc/queuectl/data';
    const env = shelfAt(directory).env;
    assert.deepEqual(await refusedCommands({ directory, env }), WRITING);
    const { code, stderr } = await store.run(['status']);
    assert.deepEqual([code, stderr], [0, `queuectl: warning: there is no queue in ${store.shelf.place} yet\n`]);
  });
});

const isRoot = process.getuid?.() === 0;
/** Root may do everything, so commands are run as nobody. */
const AS_NOBODY = isRoot ? ['setpriv', '--reuid=65534', '--clear-groups'] : [];
const nobodyMissing = isRoot ? missing(...AS_NOBODY, process.execPath, PROGRAM, '--version') : false;

type Mode = readonly [title: string, name: string, mode: number, refused: readonly Name[]];

const MODES_OF_FILES: readonly Mode[] = [
  ['a data directory that cannot be entered', '.', 0o000, ALL],
  // dlq-retry does its work by a line in the journal, and warns that it cannot fold it
  ['a data directory that cannot be written', '.', 0o500, ['enqueue', 'config-set', 'worker-start']],
  // workers wait until they can
  ['a lock/ that cannot be written', 'lock', 0o500, ['enqueue', 'dlq-retry', 'config-set']],
  ['a queue.json that cannot be read', 'queue.json', 0o000, READING_JOBS],
  ['a config.json that cannot be read', 'config.json', 0o000, ['enqueue', 'config-set', 'worker-start']],
  ['a journal that cannot be written', 'journal.ndjson', 0o400, ['enqueue', 'dlq-retry']],
];
const MODES_OF_A_DATABASE: readonly Mode[] = [
  ['a directory that cannot be entered', '.', 0o000, ALL],
  // Whoever reads makes the journal and the shared memory.
  ['a directory that cannot be written', '.', 0o500, ALL],
  ['a database that cannot be read', 'queue.db', 0o000, ALL],
  ['a state directory that cannot be entered', 'queue.db-state', 0o000, ['status', 'worker-start']],
  ['a state directory that cannot be written', 'queue.db-state', 0o500, ['worker-start']],
];
const MODES = byKind({ file: MODES_OF_FILES, sqlite: MODES_OF_A_DATABASE });

describe('a store that one may not use', { concurrency: 3, skip: nobodyMissing }, () => {
  for (const [title, name, mode, expected] of MODES) {
    storeTest(`${title} is named at once`, async (store) => {
      await fill(store.directory);
      if (store.dataDir !== store.directory) fs.mkdirSync(store.dataDir, { mode: 0o700 });
      if (isRoot) giveToNobody(store.root);
      const path = join(store.directory, name);
      const was = fs.statSync(path).mode;
      fs.chmodSync(path, mode);
      assert.deepEqual(await refusedCommands(store, AS_NOBODY), expected);
      fs.chmodSync(path, was);
      await checkIntact(store, AS_NOBODY);
    });
  }
});

describe('logs that cannot be written', { skip: nobodyMissing }, () => {
  storeTest('cost no attempt: the worker says so once, waits, and goes on when they can be', async (store) => {
    const as = (...args: string[]) => run([...AS_NOBODY, ...queuectl(...args)], store);
    const logs = join(store.dataDir, 'logs');
    fs.mkdirSync(logs, { recursive: true, mode: 0o700 });
    if (isRoot) giveToNobody(store.root);
    fs.chmodSync(logs, 0o000);
    assertDone(await as('worker-start'), 'worker-start');
    assertDone(await as('enqueue', '{"id":"a","command":"true","max_retries":0}'), 'enqueue');
    const said = () =>
      fs.readFileSync(join(store.dataDir, 'workers/workers.log'), 'utf8').match(/permission denied/g) ?? [];
    await eventually(() => said().length > 0);
    await delay(4000); // in which it tries again a few times
    assert.equal(said().length, 1);
    fs.chmodSync(logs, 0o700);
    await eventually(() => store.completed() === 1);
    assert.equal(store.job('a').attempts, 1);
    assertDone(await as('worker-stop'), 'worker-stop');
  });
});

describe('an SQLite file', { concurrency: 2, skip: sqliteMissing || nobodyMissing }, () => {
  const using = (store: TestStore, ...words: string[]) =>
    run([...AS_NOBODY, process.execPath, PROGRAM, ...words, '--store', `sqlite:${store.root}/queue.db`], store);

  async function assertRefused(store: TestStore, culprit: string): Promise<void> {
    const { code, stderr } = await using(store, 'enqueue', 'true');
    assert.equal(code, 1);
    assert.ok(stderr.startsWith(`queuectl: cannot use ${culprit}: permission denied. `), stderr);
  }

  storeTest('in a directory that cannot be written: the directory is named', async (store) => {
    if (isRoot) giveToNobody(store.root);
    assert.equal((await using(store, 'enqueue', 'true')).code, 0);
    fs.chmodSync(store.root, 0o500);
    await assertRefused(store, store.root);
    fs.chmodSync(store.root, 0o700);
  });

  storeTest('that was read while it could not be written: what that has left is named, and mended', async (store) => {
    if (isRoot) giveToNobody(store.root);
    const path = join(store.root, 'queue.db');
    assert.equal((await using(store, 'enqueue', 'true')).code, 0);
    fs.chmodSync(path, 0o400);
    assert.equal((await using(store, 'list')).code, 0); // SQLite gives what it makes beside it the same mode
    fs.chmodSync(path, 0o600);
    await assertRefused(store, `${path}-shm`);
    assert.equal((await using(store, 'doctor', '--fix')).code, 0);
    assert.equal((await using(store, 'enqueue', 'true')).code, 0);
  });
});

function giveToNobody(path: string): void {
  execFileSync('chown', ['-R', '65534:65534', path]);
}
