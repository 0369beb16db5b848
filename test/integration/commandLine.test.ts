/** What holds for every command: `--json`, the two-word forms, and where the store is. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { promisify } from 'node:util';
import { install, installClone } from '../helpers/install.js';
import { waitFor } from '../helpers/waitFor.js';
import { storeTest } from './support.js';

describe('command line', { concurrency: 2 }, () => {
  storeTest('--json prints one JSON value, whatever the command', async (store) => {
    const json = async (...args: string[]) => JSON.parse(await store.ok(...args, '--json'));
    const job = await json('enqueue', '{"id":"a","command":"echo hi; exit 1","max_retries":0}');
    assert.deepEqual(job, store.job('a'));
    const { stdout } = await store.run(['enqueue', '-', '--json'], 'true\n');
    assert.deepEqual(JSON.parse(stdout), { enqueued: 1 });
    assert.deepEqual(await json('list'), store.queue());
    assert.deepEqual(await json('list', '--state', 'dead'), []);

    const { supervisor_pid, workers } = await json('worker-start', '--count', '2');
    assert.deepEqual(
      store.records('supervisor').map(({ pid }) => pid),
      [supervisor_pid],
    );
    assert.equal(workers.length, 2);
    await waitFor(() => store.dead().length === 1 && store.queue()[0]?.state === 'completed');
    const counts = { activeWorkers: 2, pending: 0, processing: 0, completed: 1, failed: 0, dead: 1 };
    assert.deepEqual(await json('status'), counts);
    assert.deepEqual(await json('worker-stop'), { stopped: 2 });

    assert.deepEqual(await json('logs', 'a'), { id: 'a', output: 'hi\n' });
    assert.deepEqual(await json('dlq-list'), store.dead());
    assert.deepEqual(await json('dlq-retry', 'a'), store.job('a'));
    assert.deepEqual(await json('config-set', 'max_retries', '7'), { max_retries: 7 });
    assert.deepEqual(await json('config-get', 'max_retries'), { max_retries: 7 });
    assert.deepEqual(await json('config-get'), store.config());
    assert.equal(typeof (await json('--version')).version, 'string');
    const failed = await store.run(['logs', 'nobody', '--json']);
    assert.deepEqual({ code: failed.code, stdout: failed.stdout }, { code: 1, stdout: '' });
  });

  storeTest('two words are the same as one with a hyphen', async (store) => {
    const pidless = (text: string) => text.replaceAll(/\d{2,}/g, '<pid>');
    await store.ok('enqueue', '{"id":"a","command":"true"}');
    for (const command of [
      ['worker', 'stop'],
      ['config', 'get'],
      ['config', 'get', 'backoff_base'],
      ['config', 'set', 'backoff_base', '2.5'],
      ['dlq', 'list'],
      ['dlq', 'retry', 'nobody'],
      ['worker', 'start', '--count', '2'],
    ]) {
      const [first, second, ...rest] = command;
      const separate = await store.run(command);
      const hyphenated = await store.run([`${first}-${second}`, ...rest]);
      assert.equal(pidless(separate.stdout + separate.stderr), pidless(hyphenated.stdout + hyphenated.stderr));
      assert.equal(separate.code, hyphenated.code);
    }
    assert.equal(await store.ok('worker', 'stop'), 'Stopping all workers...\nAll workers stopped.\n');
  });

  storeTest(
    'the store is where the flag says, else the variable, else in the clone, else in the home',
    async (store) => {
      const at = (name: string) => join(store.root, name);
      const clone = installClone(at('clone'));
      const installed = install(at('installed'));
      const variable = { QUEUECTL_DATA_DIR: at('variable') };
      const xdg = { XDG_STATE_HOME: at('xdg') };
      for (const [program, env, flag, expected] of [
        [clone, variable, ['--data-dir', 'flag'], 'flag'],
        [clone, { ...variable, ...xdg }, [], 'variable'],
        [clone, xdg, [], 'clone/db/data'],
        [installed, xdg, [], 'xdg/queuectl'],
        [installed, {}, [], 'home/.local/state/queuectl'],
      ] as const) {
        const args = [program, 'enqueue', 'true', ...flag];
        await promisify(execFile)(process.execPath, args, { cwd: store.root, env: { HOME: at('home'), ...env } });
        assert.equal(existsSync(join(at(expected), 'queue.json')), true, expected);
      }
    },
  );
});
