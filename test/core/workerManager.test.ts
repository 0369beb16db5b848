import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, type TestContext, test } from 'node:test';
import { QueueManager } from '../../core/queueManager.js';
import { RunDirectory } from '../../core/run/runDirectory.js';
import { WorkerManager } from '../../core/workerManager.js';
import { currentIdentity, startTimeOf } from '../../utils/processIdentity.js';
import { T0 } from '../helpers/jobFactory.js';
import { tempStore } from '../helpers/tempStore.js';
import { fileStore } from '../helpers/testStore.js';

/** Without an end it would wait for ever. */
const LIMIT = { timeout: 120_000 };

const HASTE = 20n;

/** Lets the clock that nobody sets go so many times as fast. */
function hurry(t: TestContext): void {
  const now = process.hrtime.bigint;
  const start = now();
  t.mock.method(process, 'hrtime', () => {
    const shown = start + (now() - start) * HASTE;
    return [Number(shown / 1_000_000_000n), Number(shown % 1_000_000_000n)];
  });
}

test('to stop at once has an end: who has not ended by then is named, with a remedy that helps', LIMIT, async (t) => {
  const dir = tempStore();
  const { store } = fileStore(dir);
  const queue = new QueueManager(store);
  await queue.setConfig('kill_grace', 0.5);
  const workers = new WorkerManager(store, queue, new RunDirectory(dir), { kind: 'file', dir });
  const deaf = spawn('/bin/sh', ['-c', 'trap "" TERM; echo ready; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(deaf, 'exit');
  after(() => deaf.kill('SIGKILL'));
  await once(deaf.stdout, 'data');
  const pid = deaf.pid ?? 0;
  const start_time = startTimeOf(pid) ?? '';
  const record = { ...currentIdentity(), pid, start_time, id: 's1', started_at: T0, supervisor_id: null };
  await store.workers.register({ ...record, role: 'supervisor' });
  assert.deepEqual(await workers.listPids(), [pid]);
  hurry(t);
  await assert.rejects(workers.stopWorkers({ now: true }), {
    code: 'STORAGE',
    fact: `a process of queuectl has not ended within 10.5 s: ${pid}`,
    remedy: `End what is left with \`kill -KILL ${pid}\`; \`queuectl worker-stop --now\` takes the jobs back then.`,
  });
  assert.equal(deaf.signalCode, null);

  spawn('/bin/sh', ['-c', `kill -KILL ${pid}`]);
  await ended;
  assert.equal(await workers.stopWorkers({ now: true }), 0);
  assert.deepEqual((await store.workers.list()).records, []);
});
