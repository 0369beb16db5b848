/** Workers in a pid namespace of their own, as in a container, and commands outside of it on the same store. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { monotonicMs } from '../../utils/clock.js';
import { PROGRAM } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { storeTest } from './support.js';

const UNSHARE = ['--pid', '--fork', '--mount-proc', '--kill-child'];
const canUnshare = spawnSync('unshare', [...UNSHARE, 'true']).status === 0;

describe('workers in a container', { skip: !canUnshare && 'needs root and unshare, to make a pid namespace' }, () => {
  storeTest('are not taken for dead by who cannot see them, until they fall silent', async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '100');
    await store.enqueue({ id: 'a', command: store.endless, max_retries: 0 });
    const words = [...UNSHARE, process.execPath, PROGRAM, 'worker-start', '--foreground'];
    const container = spawn('unshare', words, {
      cwd: store.root,
      stdio: 'ignore',
      env: { PATH: process.env.PATH, QUEUECTL_DATA_DIR: store.dataDir },
    });
    await waitFor(() => store.has('wait'));
    const files = ['worker', 'supervisor'].map((role) => {
      const [record] = store.records(role as 'worker' | 'supervisor');
      return join(store.dataDir, 'workers', `${record?.id}.json`);
    });
    // An hour ahead is as silent as an hour ago, which may be before the boot.
    const silence = () => {
      const far = monotonicMs() / 1000 + 3600;
      for (const file of files) fs.utimesSync(file, far, far);
    };
    silence();
    for (const file of files) await waitFor(() => Math.abs(fs.statSync(file).mtimeMs - monotonicMs()) < 10_000);

    const { activeWorkers, processing, dead } = await store.counts();
    assert.deepEqual({ activeWorkers, processing, dead }, { activeWorkers: 1, processing: 1, dead: 0 });
    const { code, stderr } = await store.run(['worker-stop']);
    assert.equal(code, 1);
    assert.equal(
      stderr,
      'queuectl: 2 processes of queuectl run in another container (pid namespace). Stop them there.\n',
    );
    assert.equal((await store.counts()).processing, 1);

    container.kill('SIGKILL');
    await once(container, 'exit');
    await waitFor(() => store.processes().length === 0);
    assert.equal((await store.counts()).processing, 1, 'it may only be slow');
    silence();
    const after = await store.counts();
    assert.deepEqual({ active: after.activeWorkers, dead: after.dead }, { active: 0, dead: 1 });

    // What is noted of its command is for those who could see it; here nobody else is left in that container.
    const left = fs.readdirSync(join(store.dataDir, 'workers')).filter((name) => name !== 'workers.log');
    assert.deepEqual(left.map((name) => name.replace(/^[^.]+/, '')).sort(), ['.1', '.condemned']);
    for (const name of left) fs.rmSync(join(store.dataDir, 'workers', name));
  });
});
