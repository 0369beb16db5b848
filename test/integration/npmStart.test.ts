/** What `npm start` runs: workers in the foreground that follow the source. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { waitFor } from '../helpers/waitFor.js';
import { aboutNoStore, type Foreground, follow, storeTest, type TestStore, UNTIL_GO } from './support.js';

const ROOT = join(import.meta.dirname, '..', '..');
const [NODE, ...WORDS] = packageJson.scripts.start.split(' ');

/** Starts it in a process group of its own, as a shell would. */
function npmStart(store: TestStore, ...flags: string[]): Foreground {
  assert.equal(NODE, 'node');
  const child = spawn(process.execPath, [...WORDS, ...flags], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...store.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return follow(child);
}

const touch = (file: string) => utimesSync(join(ROOT, file), new Date(), new Date());

describe('npm start', { concurrency: 2, skip: aboutNoStore ?? false }, () => {
  storeTest('starts the workers again when the source changes, and Ctrl-C leaves nobody behind', async (store) => {
    await store.enqueue({ id: 'a', command: `: > begun; ${UNTIL_GO}` });
    const started = npmStart(store, '--count', '2');
    const starts = () => started.output().match(/Worker \d started/g)?.length ?? 0;
    await waitFor(() => starts() === 2 && store.has('begun'));
    touch('utils/clock.ts');
    await waitFor(() => started.output().includes('Stopping once'));
    store.go();
    await waitFor(() => starts() === 4);
    process.kill(-started.pid, 'SIGINT');
    process.kill(started.pid, 'SIGINT'); // npm's
    assert.equal(await started.ended, 0);
    assert.match(started.output(), /a completed\n/);
    assert.deepEqual([store.job('a').state, store.job('a').attempts], ['completed', 1]);
  });

  storeTest('waits for a change when the workers cannot start, and ends with wrong usage', async (store) => {
    const wrong = npmStart(store, '--count', 'x');
    assert.equal(await wrong.ended, 2);
    await store.ok('config-set', 'max_retries', '1');
    store.shelf.putSetting('max_retries', -1);
    const started = npmStart(store);
    await waitFor(() => started.output().includes('The workers are gone'));
    process.kill(-started.pid, 'SIGINT');
    assert.equal(await started.ended, 0);
  });
});
