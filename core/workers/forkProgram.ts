/** Forks the program that workerMain.ts is. */
import { type ChildProcess, fork } from 'node:child_process';
import type { SupervisorTask, WorkerTask } from './messages.js';

/** In the source it is TypeScript, in the package a bundle beside this one. */
const WORKER_MAIN = new URL(import.meta.url.endsWith('.ts') ? './workerMain.ts' : './workerMain.cjs', import.meta.url);

/** V8 collects its youngest objects after every MB and not after 16: a process that mostly waits is smaller by 5 MB. */
const LITTLE_MEMORY = '--max-semi-space-size=1';

/** Starts a supervisor or a worker, out of reach of the terminal's signals. */
export function forkProgram(
  ...[role, task, log]:
    | [role: 'supervisor', task: SupervisorTask, log: number]
    | [role: 'worker', task: WorkerTask, log: 'inherit']
): ChildProcess {
  return fork(WORKER_MAIN, [role, JSON.stringify(task)], {
    detached: true,
    execArgv: [...new Set([...process.execArgv, LITTLE_MEMORY])],
    stdio: ['ignore', log, log, 'ipc'],
  });
}
