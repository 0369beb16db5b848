/** The worker loop, with commands that end when the test says so. */
import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, mock, test } from 'node:test';
import { JobProcessor } from '../../../core/jobProcessor.js';
import { QueueManager } from '../../../core/queueManager.js';
import type { Ending, Launcher, Progress, Run } from '../../../core/run/launcher.js';
import { RunDirectory } from '../../../core/run/runDirectory.js';
import type { JobEvent } from '../../../core/workers/messages.js';
import { Worker } from '../../../core/workers/worker.js';
import { delay } from '../../../utils/delay.js';
import { QueuectlError } from '../../../utils/errors.js';
import { currentIdentity } from '../../../utils/processIdentity.js';
import { tempStore } from '../../helpers/tempStore.js';
import { fileStore } from '../../helpers/testStore.js';
import { waitFor } from '../../helpers/waitFor.js';

const SUCCESS: Ending = { kind: 'exited', code: 0 };
const FAILURE: Ending = { kind: 'exited', code: 1 };
const KILLED: Ending = { kind: 'signaled', signal: 'SIGTERM' };

const NO_SPACE = new QueuectlError('STORAGE', 'cannot write: no space left on device', 'Make room and try again.');

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

/** How far the clock that nobody sets is ahead of the machine's. */
let aheadSeconds = 0;
/** Lets time pass for the worker, but not for its timers: it looks at the clock when it is awake, and that is often here. */
const pass = (seconds: number) => {
  aheadSeconds += seconds;
};
/** After so long a worker that is awake gives its next sign of life. */
const SIGN_SECONDS = 3;
const IDLE_MS = 20;

/** A worker that runs until the test stops it, on a store with some jobs. */
async function startWorker({ commands = ['a'], concurrency = 1, hasLogs = true, supervisorId = '', idleMs = IDLE_MS }) {
  const dir = tempStore();
  if (!hasLogs) writeFileSync(`${dir}/logs`, 'in the way');
  const { store } = fileStore(dir, { role: 'worker' });
  const run = new RunDirectory(dir);
  const queue = new QueueManager(store);
  await queue.setConfig('worker_idle_delay', idleMs);
  await queue.enqueueAll(commands.map((command) => ({ id: command, command, max_retries: 0 })));
  await store.workers.register({
    ...currentIdentity(),
    id: 'w1',
    role: 'worker',
    started_at: 0,
    supervisor_id: supervisorId || null,
  });
  run.enter('w1');
  const launcher = new StandIn();
  const events: string[] = [];
  const troubles: string[] = [];
  const endings: string[] = [];
  const processor = new JobProcessor(launcher);
  const start = processor.process.bind(processor);
  processor.process = (what, limits) => {
    const running = start(what, limits);
    const end = (graceMs: number) => {
      endings.push(`${what.command} within ${graceMs} ms`);
      return running.end(graceMs);
    };
    return { ...running, end };
  };
  const worker = new Worker({
    id: 'w1',
    concurrency,
    store,
    queue,
    run,
    processor,
    onEvent: (event) => events.push(describeEvent(event)),
    onError: ({ message }) => troubles.push(message),
  });
  const ended = worker.run();
  after(() => {
    worker.stopNow();
    launcher.close();
    return ended;
  });
  return { dir, run, worker, ended, launcher, events, troubles, endings, queue, store };
}

const describeEvent = (event: JobEvent) =>
  event.kind === 'job started' ? `${event.id} started ${event.attempt}` : `${event.id} ${event.as}`;

describe('a worker', { timeout: 300_000 }, () => {
  before(() => {
    const clock = process.hrtime.bind(process);
    mock.method(process, 'hrtime', () => {
      const [seconds, nanoseconds] = clock();
      return [seconds + aheadSeconds, nanoseconds];
    });
  });

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
    assert.match(logFile, /\/logs\/a~1\.log$/);
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

  test('asked to stop in the moment in which a job ends, claims nothing, as one asked before', async () => {
    const { worker, ended, launcher, queue } = await startWorker({ commands: ['a', 'b'], idleMs: 3_600_000 });
    await waitFor(() => launcher.commands.includes('a')); // and it sleeps: else it may have begun its turn
    await delay(50);
    launcher.end('a', SUCCESS);
    setImmediate(() => worker.stop()); // as a signal that came first, but is told of after the end
    await waitFor(async () => (await queue.counts()).completed === 1);
    launcher.close();
    await ended;
    assert.deepEqual(await queue.counts(), { pending: 1, processing: 0, completed: 1, failed: 0, dead: 0 });
  });

  test('told to stop now, gives back what did not succeed all the same', async () => {
    const { worker, ended, launcher, queue } = await startWorker({ commands: ['a', 'b', 'c'], concurrency: 3 });
    await waitFor(() => launcher.commands.length === 3);
    worker.stopNow();
    launcher.end('a', SUCCESS);
    launcher.end('b', { kind: 'signaled', signal: 'SIGTERM' });
    launcher.end('c', FAILURE);
    await ended;
    const jobs = await queue.list();
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

  test('a system call that fails where nobody expects it is waited out, too, and told of in words', async (t) => {
    const { worker, ended, launcher, troubles, queue, store } = await startWorker({});
    await waitFor(() => launcher.commands.length === 1);
    const fault = Object.assign(new Error('EIO: i/o error'), { code: 'EIO', syscall: 'stat', path: '/data/x' });
    const refusal = t.mock.method(store, 'transaction', () => Promise.reject(fault));
    launcher.end('a', SUCCESS);
    await waitFor(() => troubles.length > 0);
    refusal.mock.restore();
    await waitFor(async () => (await queue.counts()).completed === 1);
    worker.stop();
    await ended;
    assert.deepEqual(troubles, ['cannot stat /data/x: input/output error. Check the disk.']);
  });

  for (const [what, lose] of [
    ['guard', (run: RunDirectory) => run.condemn('w1')],
    ['record', (run: RunDirectory) => rmSync(`${run.path}/workers/w1.json`)],
  ] as const) {
    test(`without its ${what} it claims nothing more, ends what runs at once, and gives it back`, async () => {
      const { run, ended, launcher, endings, queue } = await startWorker({ commands: ['a', 'b'] });
      await waitFor(() => launcher.commands.includes('a'));
      lose(run);
      pass(SIGN_SECONDS);
      await waitFor(() => endings.length > 0);
      launcher.end('a', KILLED);
      await ended;
      assert.deepEqual(endings, ['a within 5000 ms']);
      assert.deepEqual(await queue.counts(), { pending: 2, processing: 0, completed: 0, failed: 0, dead: 0 });
    });
  }

  test('taken for dead, it ends what others run by now, and its end is refused', async () => {
    const { run, ended, launcher, endings, events, queue, store } = await startWorker({});
    await waitFor(() => launcher.commands.includes('a'));
    await store.workers.unregister('w1');
    run.condemn('w1');
    const job = await queue.get('a');
    assert.ok(job?.state === 'processing');
    await queue.handleRetry(job, { kind: 'given back' });
    const again = await queue.getNextJob('w2');
    pass(SIGN_SECONDS);
    await waitFor(() => endings.length > 0);
    launcher.end('a', SUCCESS);
    await ended;
    assert.deepEqual(events, ['a started 1', 'a refused']);
    assert.deepEqual(await queue.list(), [again]);
  });

  test('gives a sign of life for its supervisor, too, which gives none itself', async (t) => {
    const { worker, ended, store } = await startWorker({ commands: [], supervisorId: 's1' });
    const { mock } = t.mock.method(store.workers, 'heartbeat');
    pass(SIGN_SECONDS);
    await waitFor(() => mock.callCount() >= 2);
    assert.deepEqual(new Set(mock.calls.map(({ arguments: [id] }) => id)), new Set(['w1', 's1']));
    worker.stop();
    await ended;
  });

  test('gives a sign of life while it is held up', async (t) => {
    let letGo = () => {};
    const isLetGo = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    t.after(letGo); // before that which waits for the worker
    const { worker, ended, launcher, queue, store } = await startWorker({ commands: ['a', 'b'] });
    await waitFor(() => launcher.commands.includes('a'));
    const takeTurn = queue.takeTurn.bind(queue);
    const turn = t.mock.method(queue, 'takeTurn', async (...words: Parameters<typeof takeTurn>) => {
      await isLetGo;
      return takeTurn(...words);
    });
    launcher.end('a', SUCCESS);
    await waitFor(() => turn.mock.callCount() > 0);
    const { mock } = t.mock.method(store.workers, 'heartbeat');
    await waitFor(() => mock.callCount() > 0);
    assert.equal((await queue.counts()).processing, 1);
    turn.mock.restore();
    letGo();
    worker.stop();
    await waitFor(async () => (await queue.counts()).completed === 1);
    launcher.close();
    await ended;
  });

  test('a sign of life that took long is as old as its beginning', async (t) => {
    const { worker, ended, launcher, queue, store } = await startWorker({ concurrency: 2 });
    await waitFor(() => launcher.commands.includes('a'));
    let isGiven = false;
    const { mock } = t.mock.method(store.workers, 'heartbeat', async () => {
      if (isGiven) throw NO_SPACE;
      isGiven = true;
      pass(31);
    });
    const oneMoreTry = async () => {
      const calls = mock.callCount();
      pass(SIGN_SECONDS);
      await waitFor(() => mock.callCount() > calls);
    };
    await oneMoreTry();
    await queue.enqueue({ id: 'b', command: 'b' });
    await oneMoreTry();
    await oneMoreTry();
    assert.deepEqual(launcher.commands, ['a']);
    launcher.end('a', SUCCESS);
    worker.stop();
    await ended;
  });

  test('when it can give no sign of life it claims nothing, then ends what runs, and goes on when it can', async (t) => {
    const { worker, ended, launcher, endings, events, troubles, queue, store } = await startWorker({ concurrency: 2 });
    await waitFor(() => launcher.commands.includes('a'));
    const heartbeat = t.mock.method(store.workers, 'heartbeat', async () => {
      throw NO_SPACE;
    });
    const oneMoreTry = async () => {
      const calls = heartbeat.mock.callCount();
      pass(SIGN_SECONDS);
      await waitFor(() => heartbeat.mock.callCount() > calls);
    };
    await oneMoreTry();

    pass(31 - SIGN_SECONDS);
    await queue.enqueue({ id: 'b', command: 'b', max_retries: 0 });
    await oneMoreTry();
    await oneMoreTry();
    assert.deepEqual([launcher.commands, endings], [['a'], []]);

    pass(52 - 31 - 2 * SIGN_SECONDS); // it was late to notice, so less is left than the five seconds of kill_grace
    await waitFor(() => endings.length > 0);
    const [, graceMs] = /^a within ([\d.]+) ms$/.exec(endings[0] ?? '') ?? [];
    assert.ok(Number(graceMs) <= 3000, endings[0]);
    assert.match(
      troubles.join(),
      /^no sign of life .*ended and given back: cannot write: no space left on device\. Make/,
    );
    await oneMoreTry();
    await oneMoreTry();
    launcher.end('a', KILLED);
    await waitFor(() => events.includes('a release'));
    assert.deepEqual(launcher.commands, []);

    heartbeat.mock.restore();
    pass(SIGN_SECONDS);
    await waitFor(() => launcher.commands.length === 2);
    for (const command of ['a', 'b']) launcher.end(command, SUCCESS);
    await waitFor(async () => (await queue.counts()).completed === 2);
    worker.stop();
    await ended;
    assert.deepEqual([endings.length, troubles.length], [1, 1]);
  });

  test('what keeps it from preparing an attempt is waited out, and the attempt does not count', async () => {
    const { dir, worker, ended, launcher, troubles, queue } = await startWorker({ hasLogs: false });
    await waitFor(() => troubles.length > 0);
    assert.match(troubles[0] ?? '', /^a job could not be started: cannot make .*\/logs: not a directory/);
    await waitFor(async () => (await queue.list('pending')).length === 1);
    await delay(100);
    assert.equal(troubles.length, 1, 'it tries again at once');
    rmSync(`${dir}/logs`);
    await waitFor(() => launcher.commands.includes('a'));
    assert.deepEqual(
      (await queue.list()).map(({ attempts }) => attempts),
      [1],
    );
    launcher.end('a', SUCCESS);
    await waitFor(async () => (await queue.counts()).completed === 1);
    worker.stop();
    await ended;
  });
});
