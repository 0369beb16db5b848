/** A worker and its fork server that die while a command is being started. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe } from 'node:test';
import { errnoCode } from '../../utils/errors.js';
import { NO_PERL, pathWithPerl } from '../helpers/perl.js';
import { PROGRAM, runCli } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { kill, storeTest, type TestStore, UNTIL_GO } from './support.js';

const WORKER_MAIN = join(dirname(PROGRAM), 'workerMain.cjs');
const obstacle = spawnSync('strace', ['--version']).status === 0 ? undefined : 'it needs strace';

const LATE = `echo $QUEUECTL_ATTEMPT >> ran; ${UNTIL_GO}`;

/** Runs the second attempt beside the process that was to be the first, which may not begin. */
async function runSecondAttempt(store: TestStore, first: number): Promise<void> {
  await store.startWorkers();
  await waitFor(() => store.lines('ran').length === 1);
  await waitFor(() => !runs(first));
  store.go();
  await waitFor(() => store.completed() === 1);
  await store.ok('worker-stop');
  assert.deepEqual(store.lines('ran'), ['2'], 'attempt 1 began while attempt 2 ran');
}

describe('a worker that dies while a command is being started', { concurrency: 2 }, () => {
  storeTest(
    'a command that is about to begin does not, once its job has been given back',
    async (store) => {
      await store.ok('config-set', 'backoff_max', '0');
      // Holds each new process for fifteen seconds before it makes its group.
      const slow =
        'exec strace -f -qq -o /dev/null -e trace=setpgid -e inject=setpgid:delay_enter=15000000 /usr/bin/perl "$@"';
      await store.enqueue({ id: 'late', command: LATE });
      const env = { ...store.env, PATH: pathWithPerl(store.root, slow) };
      await runCli(['worker-start'], { dataDir: store.dataDir, env });
      const perls = () => store.processes().filter(({ commandLine }) => commandLine.startsWith('/usr/bin/perl'));
      await waitFor(() => perls().length === 2);
      const [server, child] = perls()
        .map(({ pid }) => pid)
        .sort((a, b) => a - b);
      assert.ok(server !== undefined && child !== undefined);
      for (const role of ['supervisor', 'worker'] as const) for (const { pid } of store.records(role)) kill(pid);
      kill(server);
      assert.equal((await store.counts()).failed, 1);
      await runSecondAttempt(store, child);
    },
    obstacle,
  );

  storeTest(
    'nor does one that a worker without a fork server has only just forked when it is killed',
    async (store) => {
      await store.ok('config-set', 'backoff_max', '0');
      await store.enqueue({ id: 'late', command: LATE });
      const task = {
        address: store.shelf.address,
        supervisorId: 'none',
        concurrency: 1,
        reports: false,
      };
      // Holds each new process for fifteen seconds before it becomes a shell.
      const slow = ['-f', '-qq', '-o', '/dev/null', '-P', '/bin/sh', '-e', 'trace=execve'];
      const held = [...slow, '-e', 'inject=execve:delay_enter=15000000', process.execPath, WORKER_MAIN];
      spawn('strace', [...held, 'worker', JSON.stringify(task)], {
        cwd: store.root,
        stdio: 'ignore',
        env: { ...store.env, PATH: pathWithPerl(store.root, NO_PERL) },
      });
      const notes = () => readdirSync(join(store.dataDir, 'workers')).filter((name) => /^[^.]+\.\d+$/.test(name));
      const workers = () => store.processes().filter(({ commandLine }) => commandLine.includes(WORKER_MAIN));
      await waitFor(() => existsSync(join(store.dataDir, 'workers')) && notes().length === 1);
      const [worker] = store.records('worker');
      assert.ok(worker !== undefined);
      // The shell that is yet to be is another process with the worker's command line; so was the perl, without the note.
      const forked = await waitFor(() =>
        workers().find(({ pid }) => pid !== worker.pid && filesOf(pid).some((path) => path.endsWith(`/${notes()[0]}`))),
      );
      kill(worker.pid);
      await waitFor(() => !workers().some(({ pid }) => pid === worker.pid));
      assert.equal((await store.counts()).failed, 1);
      assert.ok(
        store.processes().some(({ pid }) => pid === forked.pid),
        'it may still begin',
      );
      await runSecondAttempt(store, forked.pid);
    },
    obstacle,
  );
});

/** The files that a process has open; none when it has ended. */
const filesOf = (pid: number): string[] =>
  ifThere(() => readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))) ?? [];

/** Whether it has not ended. To ask this of one process is cheaper than to list all for as long as it is held. */
const runs = (pid: number): boolean => Boolean(ifThere(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')));

function ifThere<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
}
