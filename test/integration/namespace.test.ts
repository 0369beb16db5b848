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
      env: { PATH: process.env.PATH, ...store.env },
    });
    await waitFor(() => store.has('wait'));
    const ids = (['worker', 'supervisor'] as const).map((role) => store.records(role)[0]?.id ?? '');
    // An hour ahead is as silent as an hour ago, which may be before the boot.
    const silence = () => {
      for (const id of ids) store.shelf.putHeard(id, monotonicMs() + 3_600_000);
    };
    silence();
    for (const id of ids) await waitFor(() => Math.abs(store.shelf.heard(id) - monotonicMs()) < 10_000);

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
