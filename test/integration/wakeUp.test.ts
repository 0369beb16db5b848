/** Idle workers: they sleep, and wake at once. One test after the other, because these measure time. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PROGRAM } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { follow, storeTest } from './support.js';

const WAKE_UP_MS = 200;
/** A worker that had missed the time would look again after a minute. */
const LATE_MS = 10_000;

storeTest(
  'a worker that looks by itself once a minute runs a new job within 200 ms, and a later one on time',
  async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '60000');
    await store.startWorkers();
    const delays: number[] = [];
    // The machine may be busy with something else now and then; a worker that sleeps takes up to a minute each time.
    while (delays.length < 3 || (delays.length < 20 && Math.min(...delays) >= WAKE_UP_MS)) {
      const id = `job.${delays.length}`;
      await store.ok('enqueue', `: > ${id}`);
      const returnedAt = Date.now();
      await waitFor(() => store.has(id));
      delays.push(store.timeOf(id) - returnedAt);
    }
    assert.ok(Math.min(...delays) < WAKE_UP_MS, `they began after ${delays} ms`);

    const run_at = Date.now() + 1000;
    await store.enqueue({ id: 'later', command: ': > later', run_at });
    await waitFor(() => store.has('later'));
    const lateMs = store.timeOf('later') - run_at;
    assert.ok(lateMs > -20 && lateMs < LATE_MS, `it began ${lateMs} ms after its time`);
    await store.ok('worker-stop');
    assert.deepEqual(
      store.queue().map(({ state, attempts }) => `${state} ${attempts}`),
      Array.from({ length: delays.length + 1 }, () => 'completed 1'),
    );
  },
);

const UNSHARE = ['--user', '--map-root-user', 'sh', '-c'];
const canUnshare = spawnSync('unshare', [...UNSHARE, ': > /proc/sys/user/max_inotify_watches']).status === 0;

for (const used of ['instances', 'watches']) {
  storeTest(
    `where no inotify ${used} are left a worker finds new jobs by looking`,
    async (store) => {
      await store.ok('config-set', 'worker_idle_delay', '300');
      // A user namespace has a limit of its own.
      const script = `echo 0 > /proc/sys/user/max_inotify_${used} && exec "$0" "$@"`;
      const program = [process.execPath, PROGRAM, 'worker-start', '--foreground'];
      const worker = spawn('unshare', [...UNSHARE, script, ...program], {
        cwd: store.root,
        env: { PATH: process.env.PATH, ...store.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const { output, ended } = follow(worker);
      await waitFor(() => output().includes('Worker 1 started'));
      for (const id of ['a', 'b']) {
        await store.enqueue({ id, command: 'true' });
        await waitFor(() => store.queue().some((job) => job.id === id && job.state === 'completed'));
      }
      await store.ok('worker-stop');
      assert.equal(await ended, 0);
      assert.doesNotMatch(output(), /inotify|EMFILE|ENOSPC|watch/);
    },
    canUnshare ? undefined : 'it needs a user namespace',
  );
}

if (process.platform === 'linux') {
  storeTest('an idle worker and its supervisor use no processor time', async (store) => {
    await store.ok('enqueue', 'true');
    await store.startWorkers('--count', '2');
    await waitFor(() => store.queue()[0]?.state === 'completed');
    const processes = store.processes();
    assert.ok(processes.length >= 3);
    const used = () => processes.map(({ pid }) => processorTicks(pid));
    let ticks: number[] = [];
    // At first the compiler's threads may have something left to do, for long on a busy machine.
    for (let tries = 0; tries < 10; tries++) {
      const before = used();
      await delay(3000); // the time over which it is measured
      ticks = used().map((now, at) => now - (before[at] ?? 0));
      if (Math.max(...ticks) <= 1) break;
    }
    assert.ok(Math.max(...ticks) <= 1, `1/100 seconds used by each process: ${ticks}`);
    await store.ok('worker-stop');
  });
} else {
  test('an idle worker and its supervisor use no processor time', { skip: 'needs /proc' });
}

/** User and system time, in ticks of 10 ms: fields 14 and 15 of the file (proc(5)). */
function processorTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
