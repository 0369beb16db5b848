/** The worker loop, with commands that end when the test says so. */
import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { JobProcessor } from '../../../core/jobProcessor.js';
import { QueueManager } from '../../../core/queueManager.js';
import type { Ending, Launcher, Progress, Run } from '../../../core/run/launcher.js';
import { type JobEvent, Worker } from '../../../core/workers/worker.js';
import { openFileStore } from '../../../db/index.js';
import { currentIdentity } from '../../../utils/processIdentity.js';
import { tempStore } from '../../helpers/tempStore.js';
import { waitFor } from '../../helpers/waitFor.js';

const SUCCESS: Ending = { kind: 'exited', code: 0 };
const FAILURE: Ending = { kind: 'exited', code: 1 };

/** Starts nothing; the test ends what it was asked to launch. */
class StandIn implements Launcher {
  private readonly running = new Map<string, Progress>();
  readonly launched: Run[] = [];
  mostAtOnce = 0;
  private isClosed = false;

  launch(run: Run, progress: Progress): void {
    this.launched.push(run);
    this.running.set(run.command, progress);
    this.mostAtOnce = Math.max(this.mostAtOnce, this.running.size);
    if (this.isClosed) this.end(run.command, FAILURE);
  }

  get commands(): string[] {
    return [...this.running.keys()];
  }

  end(command: string, ending: Ending): void {
    const progress = this.running.get(command);
    assert.ok(progress, `${command} runs`);
    this.running.delete(command);
    progress.ended(ending);
  }

  /** Ends what runs and whatever is yet to come. */
  close(): void {
    this.isClosed = true;
    for (const command of this.commands) this.end(command, FAILURE);
  }

  giveUp(): void {}
}

/** A worker that runs until the test stops it, on a store with some jobs. */
async function startWorker({ commands = ['a'], concurrency = 1 }) {
  const dir = tempStore();
  const store = openFileStore(dir);
  const queue = new QueueManager(store);
  await queue.enqueueAll(commands.map((command) => ({ id: command, command, max_retries: 0 })));
  await store.workers.register({
    ...currentIdentity(),
    id: 'w1',
    role: 'worker',
    started_at: 0,
    supervisor_id: null,
  });
  const launcher = new StandIn();
  const events: string[] = [];
  const troubles: string[] = [];
  const worker = new Worker({
    id: 'w1',
    concurrency,
    store,
    queue,
    processor: new JobProcessor(launcher),
    onEvent: (event) => events.push(describeEvent(event)),
    onTrouble: ({ message }) => troubles.push(message),
  });
  const ended = worker.run();
  after(() => {
    worker.stopNow();
    launcher.close();
    return ended;
  });
  return { dir, worker, ended, launcher, events, troubles, queue, store };
}

const describeEvent = (event: JobEvent) =>
  event.kind === 'job started' ? `${event.id} started ${event.attempt}` : `${event.id} ${event.as}`;

describe('a worker', { timeout: 300_000 }, () => {
  test('runs one job after the other and tells of each', async () => {
    const { worker, ended, launcher, events, queue } = await startWorker({ commands: ['a', 'b'] });
    await waitFor(() => launcher.commands.includes('a'));
    launcher.end('a', SUCCESS);
    await waitFor(() => launcher.commands.includes('b'));
    launcher.end('b', FAILURE);
    await waitFor(() => events.length === 4);
    worker.stop();
    await ended;
    assert.deepEqual(events, ['a started 1', 'a complete', 'b started 1', 'b bury']);
    assert.equal(launcher.mostAtOnce, 1);
    assert.deepEqual(await queue.counts(), { pending: 0, processing: 0, completed: 1, failed: 0, dead: 1 });
    const [{ env, logFile } = { env: {}, logFile: '' }] = launcher.launched;
    assert.deepEqual(env, { QUEUECTL_JOB_ID: 'a', QUEUECTL_ATTEMPT: '1' });
    assert.match(logFile, /\/logs\/a\.log$/);
  });

  test('fills its slots, and each again as soon as it is free', async () => {
    const commands = ['a', 'b', 'c', 'd', 'e'];
    const { worker, ended, launcher, queue } = await startWorker({ commands, concurrency: 3 });
    await waitFor(() => launcher.commands.length === 3);
    launcher.end('b', SUCCESS);
    await waitFor(() => launcher.commands.includes('d'));
    assert.deepEqual(launcher.commands, ['a', 'c', 'd']);
    for (const command of ['a', 'c', 'd']) launcher.end(command, SUCCESS);
    await waitFor(() => launcher.commands.includes('e'));
    launcher.end('e', SUCCESS);
    await waitFor(async () => (await queue.counts()).completed === 5);
    worker.stop();
    await ended;
    assert.equal(launcher.mostAtOnce, 3);
  });

  test('asked to stop, finishes what runs and claims nothing', async () => {
    const { worker, ended, launcher, queue } = await startWorker({ commands: ['a', 'b'] });
    await waitFor(() => launcher.commands.includes('a'));
    worker.stop();
    worker.stop();
    launcher.end('a', SUCCESS);
    await ended;
    assert.deepEqual(await queue.counts(), { pending: 1, processing: 0, completed: 1, failed: 0, dead: 0 });
  });

  test('told to stop now, gives back what did not succeed all the same', async () => {
    const { worker, ended, launcher, store } = await startWorker({ commands: ['a', 'b', 'c'], concurrency: 3 });
    await waitFor(() => launcher.commands.length === 3);
    worker.stopNow();
    launcher.end('a', SUCCESS);
    launcher.end('b', { kind: 'signaled', signal: 'SIGTERM' });
    launcher.end('c', FAILURE);
    await ended;
    const jobs = await store.jobs.listJobs();
    assert.deepEqual(
      jobs.map(({ id, state, attempts }) => `${id} ${state} ${attempts}`),
      ['a completed 1', 'b pending 0', 'c pending 0'],
    );
  });

  test('keeps what ended while the store refuses, says so once, and settles it later', async () => {
    const { dir, worker, ended, launcher, troubles, queue } = await startWorker({});
    await waitFor(() => launcher.commands.length === 1);
    renameSync(`${dir}/lock`, `${dir}/away`);
    writeFileSync(`${dir}/lock`, 'in the way');
    launcher.end('a', SUCCESS);
    await waitFor(() => troubles.length > 0);
    assert.equal((await queue.counts()).processing, 1);
    rmSync(`${dir}/lock`);
    renameSync(`${dir}/away`, `${dir}/lock`);
    await waitFor(async () => (await queue.counts()).completed === 1);
    worker.stop();
    await ended;
    assert.equal(troubles.length, 1);
    assert.match(troubles[0] ?? '', /^cannot .*: not a directory\./);
  });
});
