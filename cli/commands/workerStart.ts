import { existsSync } from 'node:fs';
import type { Command } from '../line/command.js';
import { readInteger } from '../line/numbers.js';
import { describeEvent } from '../text/events.js';
import { print, printResult, talk } from '../text/output.js';
import { warnOfSharing, withCore } from '../withCore.js';

const COUNT_LIMIT = 256;
const CONCURRENCY_LIMIT = 1000;

export const workerStart: Command = {
  name: 'worker-start',
  words: [],
  summary: 'Start worker processes, and return while they go on',
  flags: ['count', 'concurrency', 'foreground'],
  examples: [
    ['worker-start --count 4', 'start four workers'],
    ['worker-start --foreground', 'stay and show the jobs; Ctrl-C stops'],
  ],
  async run({ dataDir, json, ...flags }) {
    const count = readInteger('--count', flags.count, 1, COUNT_LIMIT) ?? 1;
    const concurrency = readInteger('--concurrency', flags.concurrency, 1, CONCURRENCY_LIMIT) ?? 1;
    if (existsSync(dataDir)) warnOfSharing(dataDir); // else it is said when the directory is made
    await withCore(dataDir, async ({ workers }) => {
      if (!json) print(`Starting ${count} worker ${count === 1 ? 'process' : 'processes'}...`);
      if (flags.foreground) {
        const show = json ? talk : print; // the one JSON value comes when all is over
        await workers.runForeground({ count, concurrency, onEvent: (event) => show(describeEvent(event, new Date())) });
        return printResult(json, 'All workers stopped.', { stopped: count });
      }
      const { supervisorPid, pids } = await workers.startWorkers({ count, concurrency });
      printResult(json, pids.map((pid, index) => `Worker ${index + 1} started with PID: ${pid}`).join('\n'), {
        supervisor_pid: supervisorPid,
        workers: pids.map((pid) => ({ pid })),
      });
    });
  },
};
