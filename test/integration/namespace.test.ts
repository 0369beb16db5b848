/** Workers in a pid namespace of their own, as in a container, and commands outside of it on the same store. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import type { Finding } from '../../core/doctor.js';
import { monotonicMs } from '../../utils/clock.js';
import { assertWithin } from '../helpers/assertWithin.js';
import { PROGRAM } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { kill, type Process, storeTest, type TestStore } from './support.js';

const UNSHARE = ['--pid', '--fork', '--mount-proc', '--kill-child'];
const canUnshare = spawnSync('unshare', [...UNSHARE, 'true']).status === 0;

/** From the first one all others can be seen. */
const isFirst = canUnshare && fs.readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]';

const WORKERS = `${process.execPath} ${PROGRAM} worker-start --foreground`;
/** A worker looks so often whether it is on record. */
const SIGN_EVERY_MS = 4500;
const KEPT = 'ok: kept of 1 elsewhere, for who is there and may have their commands to end';

interface Report {
  readonly ok: boolean;
  readonly checks: readonly Finding[];
}

function notesOf(checks: readonly Finding[]): string {
  const found = checks.find(({ check }) => check === 'notes of dead workers');
  return `${found?.state}: ${found?.fact}`;
}

const workersOf = (store: TestStore) => join(store.dataDir, 'workers');
const namesLeft = (store: TestStore) => fs.readdirSync(workersOf(store)).filter((name) => name !== 'workers.log');
const leftOf = (store: TestStore) =>
  namesLeft(store)
    .map((name) => name.replace(/^[^.]+/, ''))
    .sort();

function removeLeft(store: TestStore): void {
  for (const name of namesLeft(store)) fs.rmSync(join(workersOf(store), name));
}

/** Starts a shell in a pid namespace of its own, which starts workers, and waits until they run a job. */
async function startContainer(store: TestStore, script: string) {
  const container = spawn('unshare', [...UNSHARE, '/bin/sh', '-c', script], {
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
  return { container, ids, silence };
}

describe('workers in a container', { skip: !canUnshare && 'needs root and unshare, to make a pid namespace' }, () => {
  storeTest('are not taken for dead by who cannot see them, until they fall silent', async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '100');
    await store.enqueue({ id: 'a', command: store.endless, max_retries: 0 });
    const { container, ids, silence } = await startContainer(store, `exec ${WORKERS}`);
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

    const { ok, checks } = JSON.parse(await store.ok('doctor', '--fix', '--json')) as Report;
    assert.equal(ok, true);
    assert.equal(
      notesOf(checks),
      isFirst ? 'fixed: left over of 1 in containers that are gone; removed those of 1' : KEPT,
    );
    assert.deepEqual(leftOf(store), isFirst ? [] : ['.1', '.condemned']);
    removeLeft(store);
  });

  storeTest('that are paused and taken for dead end their commands as soon as they go on', async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '100');
    await store.ok('config-set', 'backoff_base', '1');
    const beat = `: > wait; while :; do echo "$QUEUECTL_ATTEMPT $(date +%s%3N)" >> beats; sleep 0.02; done`;
    await store.enqueue({ id: 'a', command: beat });
    const { container, silence } = await startContainer(store, `exec ${WORKERS}`);
    const paused = store.processes();
    for (const { pid } of paused) kill(pid, 'SIGSTOP');
    const pausedAt = monotonicMs();
    silence();
    const beats = (attempt: string) => store.lines('beats').filter((line) => line.startsWith(`${attempt} `));
    await store.startWorkers();
    await waitFor(() => beats('2').length > 0 && monotonicMs() - pausedAt > SIGN_EVERY_MS);

    const continuedAt = Date.now();
    for (const { pid } of paused.reverse()) kill(pid, 'SIGCONT'); // the command first
    await once(container, 'exit');
    await assertWithin(Number(beats('1').at(-1)?.split(' ')[1]) - continuedAt, 500, 'it was to end at once');
    const before = beats('2').length;
    await waitFor(() => beats('2').length > before);
    assert.deepEqual([store.job('a').state, store.job('a').attempts], ['processing', 2]);
    await store.ok('worker-stop', '--now');
  });

  storeTest('leave what is noted of their commands to who else is in there', async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '100');
    await store.enqueue({ id: 'a', command: store.endless, max_retries: 0 });
    const { container, silence } = await startContainer(store, `${WORKERS} & until [ -e gone ]; do sleep 0.1; done`);
    const ours = store.processes().filter(({ commandLine }) => commandLine.startsWith(process.execPath));
    const isWorker = ({ commandLine }: Process) => commandLine.includes('workerMain');
    // The supervisor first: it would take the record of its worker away.
    for (const { pid } of [...ours.filter((one) => !isWorker(one)), ...ours.filter(isWorker)]) kill(pid);
    silence();
    assert.equal((await store.counts()).dead, 1);
    const { checks } = JSON.parse(await store.ok('doctor', '--fix', '--json')) as Report;
    assert.equal(notesOf(checks), KEPT);
    assert.deepEqual(leftOf(store), ['.1', '.condemned']);
    container.kill('SIGKILL');
    await once(container, 'exit');
    await waitFor(() => store.processes().length === 0);
    removeLeft(store);
  });
});
