/** The log files of jobs, whatever their ids look like. */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { waitFor } from '../helpers/waitFor.js';
import { storeTest, type TestStore } from './support.js';

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
});

/** What lies beside the data directory. */
const outside = (store: TestStore) => readdirSync(store.root).sort();
