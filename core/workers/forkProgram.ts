/** Forks the program that workerMain.ts is. */
import { type ChildProcess, fork } from 'node:child_process';
import { withoutInherited } from '../../utils/inheritedFiles.js';
import type { SupervisorTask, WorkerTask } from './messages.js';

/** In the source it is TypeScript, in the package a bundle beside this one. */
const WORKER_MAIN = new URL(import.meta.url.endsWith('.ts') ? './workerMain.ts' : './workerMain.cjs', import.meta.url);

/** V8 collects its youngest objects after every MB and not after 16: a process that mostly waits is smaller by 5 MB. */
const LITTLE_MEMORY = '--max-semi-space-size=1';

/**
 * After so many milliseconds a process that is not ready is taken to be stuck, as where the system gives it no threads. One is
 * ready in a fifth of a second; the rest is for a machine that is slow, or busy with something else.
 *
 * @param count how many are started at once
 */
export const startLimitMs = (count: number): number => 60_000 + 3000 * count;

/** Starts a supervisor or a worker, out of reach of the terminal's signals. */
export function forkProgram(
  ...[role, task, log]:
    | [role: 'supervisor', task: SupervisorTask, log: number]
    | [role: 'worker', task: WorkerTask, log: 'inherit']
): ChildProcess {
  return withoutInherited(['ignore', log, log, 'ipc'], (stdio) =>
    fork(WORKER_MAIN, [role, JSON.stringify(task)], {
      detached: true,
      execArgv: [...new Set([...process.execArgv, LITTLE_MEMORY])],
      stdio,
    }),
  );
}
