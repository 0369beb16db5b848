/** A worker and its fork server that die while a command is being started. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCli } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { kill, storeTest } from './support.js';

const obstacle = spawnSync('strace', ['--version']).status === 0 ? undefined : 'it needs strace';

storeTest(
  'a command that is about to begin does not, once its job has been given back',
  async (store) => {
    await store.ok('config-set', 'backoff_max', '0');
    const bin = join(store.root, 'bin');
    mkdirSync(bin);
    // Holds each new process for three seconds before it makes its group.
    const slow =
      'exec strace -f -qq -o /dev/null -e trace=setpgid -e inject=setpgid:delay_enter=3000000 /usr/bin/perl "$@"';
    writeFileSync(join(bin, 'perl'), `#!/bin/sh\n${slow}\n`);
    chmodSync(join(bin, 'perl'), 0o755);
    await store.enqueue({ id: 'late', command: 'echo $QUEUECTL_ATTEMPT >> ran; until [ -e go ]; do sleep 0.02; done' });
    await runCli(['worker-start'], { dataDir: store.dataDir, env: { PATH: `${bin}:${process.env.PATH}` } });
    const perls = () => store.processes().filter(({ commandLine }) => commandLine.startsWith('/usr/bin/perl'));
    await waitFor(() => perls().length === 2);
    const [server, child] = perls()
      .map(({ pid }) => pid)
      .sort((a, b) => a - b);
    assert.ok(server !== undefined && child !== undefined);
    for (const role of ['supervisor', 'worker'] as const) for (const { pid } of store.records(role)) kill(pid);
    kill(server);
    assert.equal((await store.counts()).failed, 1);
    await store.startWorkers();
    await waitFor(() => store.lines('ran').length === 1);
    await waitFor(() => !perls().some(({ pid }) => pid === child));
    writeFileSync(join(store.root, 'go'), '');
    await waitFor(async () => (await store.counts()).completed === 1);
    await store.ok('worker-stop');
    assert.deepEqual(store.lines('ran'), ['2'], 'attempt 1 began while attempt 2 ran');
  },
  obstacle,
);
