/** The log files of jobs, whatever their ids look like. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { waitFor } from '../helpers/waitFor.js';
import { aboutFiles, storeTest, type TestStore } from './support.js';

const ODD_IDS = [
  '../../etc/passwd',
  'a/b',
  '-rf',
  '.',
  '..',
  '~',
  'con.log',
  "it's $HOME `id`",
  '\u{1f600}'.repeat(200),
];

const mode = (path: string) => statSync(path).mode & 0o777;

async function runAll(store: TestStore): Promise<void> {
  await store.startWorkers('--concurrency', '4');
  await waitFor(() => store.queue().every(({ state }) => state === 'completed') || store.dead().length > 0);
  await store.ok('worker-stop');
}

describe('logs', { concurrency: 2 }, () => {
  storeTest('have the output of every attempt, one after the other, for nobody else to read', async (store) => {
    await store.ok('config-set', 'backoff_base', '1');
    const command = 'echo out $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT; echo err >&2; exit 4';
    await store.enqueue({ id: 'twice', command, max_retries: 1 });
    assert.match((await store.run(['logs', 'twice'])).stderr, /^queuectl: job "twice" has not been run yet\./);
    await runAll(store);
    const output = 'out twice 1\nerr\nout twice 2\nerr\n';
    assert.equal(await store.ok('logs', 'twice'), output);
    assert.deepEqual(JSON.parse(await store.ok('logs', 'twice', '--json')), { id: 'twice', output });
    assert.deepEqual(
      store.dead().map(({ attempts, error }) => [attempts, error]),
      [[2, 'exit code 4: err']],
    );
    assert.equal(mode(store.dataDir), 0o700);
    for (const name of readdirSync(store.dataDir, { recursive: true, encoding: 'utf8' })) {
      const path = join(store.dataDir, name);
      assert.equal(mode(path), statSync(path).isDirectory() ? 0o700 : 0o600, name);
    }
  });

  storeTest('are refused as one JSON value where no string holds them', async (store) => {
    await store.ok('enqueue', '--id', "it's long", 'true');
    await store.startWorkers();
    await waitFor(() => store.completed() === 1);
    await store.ok('worker-stop');
    const [log = ''] = readdirSync(`${store.dataDir}/logs`);
    // Each NUL takes six characters, so the shorter one is too long as well.
    for (const bytes of [100_000_000, 1_000_000_000]) {
      truncateSync(`${store.dataDir}/logs/${log}`, bytes);
      const { code, stderr } = await store.run(['logs', "it's long", '--json']);
      assert.equal(code, 1);
      const { fact, remedy } = JSON.parse(stderr).error;
      assert.match(fact, /^the output of job "it's long" is too long for one JSON value \(10*0 MB\)$/);
      assert.equal(remedy, "`queuectl logs 'it'\\''s long'` prints it.");
    }
  });

  storeTest('stay in the store and apart, whatever the ids', async (store) => {
    await store.enqueue(...ODD_IDS.map((id, at) => ({ id, command: `echo ${at} "$QUEUECTL_JOB_ID"` })));
    const before = outside(store);
    await runAll(store);
    assert.deepEqual(outside(store), before);
    for (const [at, id] of ODD_IDS.entries()) assert.equal(await store.ok('logs', '--', id), `${at} ${id}\n`);
    assert.equal(readdirSync(join(store.dataDir, 'logs')).length, ODD_IDS.length);
    assert.deepEqual(
      store.queue().map(({ id, state, attempts }) => [id, state, attempts]),
      ODD_IDS.map((id) => [id, 'completed', 1]),
    );
  });

  storeTest('go on over a retry from the DLQ, and are apart all the while', async (store) => {
    const command = 'echo $QUEUECTL_ATTEMPT; [ -e good ]';
    await store.ok('config-set', 'backoff_max', '0');
    await store.enqueue({ id: 'a', command, max_retries: 1 });
    await runAll(store);
    await store.ok('dlq-retry', 'a');
    assert.equal(await store.ok('logs', 'a'), '1\n2\n', 'not lost by the retry');
    await runAll(store);
    await store.ok('dlq-retry', 'a');
    writeFileSync(join(store.root, 'good'), '');
    await runAll(store);
    const { attempts, attempts_before } = store.job('a');
    assert.deepEqual({ attempts, attempts_before }, { attempts: 1, attempts_before: 4 });
    assert.equal(await store.ok('logs', 'a'), '1\n2\n1\n2\n1\n');
    assert.deepEqual(
      readdirSync(join(store.dataDir, 'logs')).sort(),
      [1, 2, 3, 4, 5].map((attempt) => `a~${attempt}.log`),
    );
  });

  storeTest('are never those of an earlier job with the same id', async (store) => {
    const hasNotRun = async () =>
      assert.match((await store.run(['logs', 'a'])).stderr, /^queuectl: job "a" has not been run yet\./);
    const background = '(until [ -e go ]; do sleep 0.02; done; echo late; : > told) &';
    await store.enqueue({ id: 'a', command: `echo former; ${background}` });
    await store.enqueue({ id: 'b', command: 'echo former' });
    await runAll(store);
    assert.equal(await store.ok('logs', 'a'), 'former\n');
    store.shelf.removeJobs();
    await store.enqueue({ id: 'a', command: 'echo new', max_retries: 0 });
    await hasNotRun();
    await store.enqueue({ id: 'b', command: 'true', cwd: '/no/such/directory', max_retries: 0 });
    await store.startWorkers();
    await waitFor(() => store.dead().length === 1 && store.queue()[0]?.state === 'completed');
    writeFileSync(join(store.root, 'go'), '');
    await waitFor(() => store.has('told'));
    await store.ok('worker-stop');
    assert.equal(await store.ok('logs', 'a'), 'new\n');
    assert.equal(await store.ok('logs', 'b'), '');
    assert.match(store.dead()[0]?.error ?? '', /^could not be started/);
    store.shelf.removeJobs();
    await store.enqueue({ id: 'a', command: 'true' });
    await hasNotRun();
  });

  storeTest(
    'of version 0.1.0 are shown before those that came after',
    async (store) => {
      await store.ok('config-set', 'backoff_max', '0');
      await store.enqueue({ id: 'a', command: 'echo attempt $QUEUECTL_ATTEMPT' }, { id: 'b', command: 'true' });
      const queue = join(store.dataDir, 'queue.json');
      const jobs = store.queue().map((job) => ({ ...job, attempts: 2, state: 'failed', last_error: 'exit code 1' }));
      writeFileSync(queue, JSON.stringify(jobs));
      mkdirSync(join(store.dataDir, 'logs'), { mode: 0o700 });
      for (const id of ['a', 'b']) {
        const old = join(store.dataDir, 'logs', `${id}.log`);
        writeFileSync(old, 'attempt 1\nattempt 2\n', { mode: 0o600 });
        if (id === 'b') utimesSync(old, 0, 1_000_000_000); // of a job that had the id long ago
      }
      assert.equal(await store.ok('logs', 'a'), 'attempt 1\nattempt 2\n');
      await runAll(store);
      assert.equal(await store.ok('logs', 'a'), 'attempt 1\nattempt 2\nattempt 3\n');
      assert.equal(await store.ok('logs', 'b'), '');
    },
    aboutFiles,
  );
});

/** What lies beside the data directory. */
const outside = (store: TestStore) => readdirSync(store.root).sort();
