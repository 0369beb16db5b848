/** The program of the processes that queuectl forks: a supervisor that stays when its starter leaves, or one worker. */
import { openFileStore } from '../../db/index.js';
import { systemClock } from '../../utils/clock.js';
import { complain } from '../../utils/complain.js';
import { QueuectlError } from '../../utils/errors.js';
import { currentIdentity } from '../../utils/processIdentity.js';
import { JobProcessor } from '../jobProcessor.js';
import { QueueManager } from '../queueManager.js';
import type { SupervisorMessage, SupervisorTask } from '../workerManager.js';
import { newProcessId, Supervisor, type WorkerMessage, type WorkerTask } from './supervisor.js';
import { Worker } from './worker.js';

const log = (text: string) => complain(`${new Date().toISOString()} [${process.pid}] ${text}`);
const tell = (message: WorkerMessage | SupervisorMessage) => {
  if (process.connected) process.send?.(message);
};

async function runWorker({ dataDir, supervisorId, concurrency, reports }: WorkerTask): Promise<void> {
  process.env.QUEUECTL_DATA_DIR = dataDir; // so that a job can enqueue another one
  const store = openFileStore(dataDir, { folds: 'in time' });
  const id = newProcessId();
  const processor = new JobProcessor();
  const worker = new Worker({
    id,
    concurrency,
    store,
    processor,
    queue: new QueueManager(store),
    ...(reports ? { onEvent: tell } : {}),
    onTrouble: (error) => log(error.message),
  });
  // SIGTERM and SIGINT: finish the current jobs; a second one: end them and give them back.
  let requests = 0;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      requests += 1;
      if (requests === 1) worker.stop();
      else worker.stopNow();
    });
  }
  process.on('disconnect', () => worker.stop());
  await store.jobs.countJobs(); // a store that can't be read is told now
  await store.config.getAllConfig();
  await store.workers.register({
    ...currentIdentity(),
    id,
    role: 'worker',
    started_at: systemClock(),
    supervisor_id: supervisorId,
  });
  tell({ kind: 'ready' });
  await worker.run();
  processor.close();
  await store.workers.unregister(id);
  const failure = await store.close();
  if (failure !== undefined) log(failure.message);
}

async function runSupervisor({ dataDir, count, concurrency }: SupervisorTask): Promise<void> {
  const store = openFileStore(dataDir);
  const supervisor = new Supervisor({
    store,
    dataDir,
    count,
    concurrency,
    reportsJobs: false,
    onEvent: (event) => {
      if (event.kind === 'worker started') log(`worker ${event.pid} started`);
      if (event.kind === 'worker ended') log(`worker ${event.pid} ended: ${event.how}`);
    },
  });
  supervisor.obeySignals();
  const pids = await supervisor.start();
  tell({ kind: 'started', supervisorPid: process.pid, pids });
  await supervisor.run();
  const failure = await store.close();
  if (failure !== undefined) log(failure.message);
}

async function main([role, task = '{}']: string[]): Promise<void> {
  try {
    await (role === 'supervisor' ? runSupervisor(JSON.parse(task)) : runWorker(JSON.parse(task)));
  } catch (error) {
    const text = error instanceof QueuectlError ? error.fact : String(error instanceof Error ? error.stack : error);
    tell({ kind: 'failed', fact: text, remedy: error instanceof QueuectlError ? error.remedy : '' });
    log(text);
    process.exitCode = 1;
  }
  if (process.connected) process.disconnect();
}

main(process.argv.slice(2));
