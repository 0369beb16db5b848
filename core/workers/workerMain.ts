/** The program of the processes that queuectl forks: a supervisor that stays when its starter leaves, or one worker. */
import { openStore, resolveAddress, type StoreAddress, stateDirectoryOf } from '../../db/index.js';
import { complain, withoutRepeats } from '../../utils/complain.js';
import { type QueuectlError, refusalOf } from '../../utils/errors.js';
import { closeStandIns } from '../../utils/inheritedFiles.js';
import { JobProcessor } from '../jobProcessor.js';
import { QueueManager } from '../queueManager.js';
import { RunDirectory } from '../run/runDirectory.js';
import { isAlive, newRecord } from './liveness.js';
import type {
  ProcessError,
  SupervisorMessage,
  SupervisorTask,
  WorkerMessage,
  WorkerOrder,
  WorkerTask,
} from './messages.js';
import { Supervisor } from './supervisor.js';
import { Worker } from './worker.js';

const log = (text: string) => complain(`${new Date().toISOString()} [${process.pid}] ${text}`);
/** Says things where a log may grow that is to be kept short. */
const logTo = (run: RunDirectory) => (text: string) => {
  log(text);
  void run.trimWorkersLog();
};
const tell = (message: WorkerMessage | SupervisorMessage) => {
  if (process.connected) process.send?.(message);
};

async function runWorker({ address: named, supervisorId, concurrency, reports }: WorkerTask): Promise<void> {
  const address = resolveAddress(named); // somebody may have put a link there since
  nameStore(address);
  const run = new RunDirectory(stateDirectoryOf(address));
  const onError = withoutRepeats(logTo(run));
  const store = openStore(address, { role: 'worker', onWarning: onError, isAlive });
  const queue = new QueueManager(store);
  const record = newRecord('worker', supervisorId, store.clock());
  const { id } = record;
  const processor = new JobProcessor();
  const worker = new Worker({
    id,
    concurrency,
    store,
    run,
    processor,
    queue,
    ...(reports ? { onEvent: tell } : {}),
    onError,
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
  process.on('message', ({ kind }: WorkerOrder) => {
    if (kind === 'stop now') worker.stopNow();
  });
  process.channel?.unref(); // a listener alone would keep this process
  process.on('disconnect', () => worker.stop());
  await queue.counts(); // a store that can't be read is told now
  await queue.getAllConfig();
  await store.workers.register(record);
  run.enter(id);
  tell({ kind: 'ready' });
  await worker.run();
  processor.close();
  run.forget(id);
  await store.workers.unregister(id);
  await store.close();
}

/** Tells the commands of jobs where the store is, so that they can enqueue others. */
function nameStore(address: StoreAddress): void {
  const { env } = process;
  delete env.QUEUECTL_STORE; // it wins over the other
  if (address.kind === 'file') env.QUEUECTL_DATA_DIR = address.dir;
  else env.QUEUECTL_STORE = `${address.kind}:${address.path}`;
}

async function runSupervisor({ address: named, count, concurrency }: SupervisorTask): Promise<void> {
  const address = resolveAddress(named);
  const run = new RunDirectory(stateDirectoryOf(address));
  const say = logTo(run);
  const onError = withoutRepeats(say);
  const store = openStore(address, { role: 'supervisor', onWarning: onError, isAlive });
  const supervisor = new Supervisor({
    store,
    run,
    address,
    count,
    concurrency,
    reportsJobs: false,
    onEvent: (event) => {
      if (event.kind === 'worker started') say(`worker ${event.pid} started`);
      if (event.kind === 'worker ended') say(`worker ${event.pid} ended: ${event.how}`);
    },
    onError,
  });
  supervisor.obeySignals();
  const pids = await supervisor.start();
  tell({ kind: 'started', supervisorPid: process.pid, pids });
  await supervisor.run();
  await store.close();
}

async function main([role, task = '{}']: string[]): Promise<void> {
  try {
    closeStandIns();
    await (role === 'supervisor' ? runSupervisor(JSON.parse(task)) : runWorker(JSON.parse(task)));
  } catch (error) {
    const { fact, remedy } = inWords(error);
    if (role === 'supervisor' || !process.connected) log(fact); // a worker's supervisor says it
    if (process.connected) {
      await new Promise((resolve) => process.send?.({ kind: 'failed', fact, remedy } satisfies ProcessError, resolve));
    }
    process.exit(1); // some timer or command may be left that would keep it, and nobody works here any more
  }
  if (process.connected) process.disconnect();
}

function inWords(error: unknown): Pick<QueuectlError, 'fact' | 'remedy'> {
  try {
    return refusalOf(error);
  } catch {
    return { fact: String(error instanceof Error ? error.stack : error), remedy: '' };
  }
}

main(process.argv.slice(2));
