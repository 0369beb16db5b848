import { existsSync } from 'node:fs';
import type { WorkerEvent } from '../../core/workerManager.js';
import { pathOf } from '../line/address.js';
import type { Run } from '../line/command.js';
import { describeEvent } from '../text/events.js';
import { print, printResult, talk } from '../text/output.js';
import { warnOfSharing, withCore } from '../withCore.js';
import type { workerStart } from './index.js';

export const run: Run<typeof workerStart> = async ({ place, json, count = 1, concurrency = 1, foreground }) => {
  if (existsSync(pathOf(place))) warnOfSharing(pathOf(place)); // else it is said when the directory is made
  await withCore(place, async ({ workers }, sayIfNew) => {
    if (!json) print(`Starting ${count} worker ${count === 1 ? 'process' : 'processes'}...`);
    if (foreground) {
      const show = json ? talk : print; // the one JSON value comes when all is over
      const onEvent = (event: WorkerEvent) => {
        sayIfNew();
        show(describeEvent(event, new Date()));
      };
      await workers.runForeground({ count, concurrency, onEvent });
      return printResult(json, 'All workers stopped.', { stopped: count });
    }
    const { supervisorPid, pids } = await workers.startWorkers({ count, concurrency });
    printResult(json, pids.map((pid, index) => `Worker ${index + 1} started with PID: ${pid}`).join('\n'), {
      supervisor_pid: supervisorPid,
      workers: pids.map((pid) => ({ pid })),
    });
  });
};
