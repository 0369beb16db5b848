import { print, printResult } from '../helpers/output.js';
import { withCore } from '../helpers/withCore.js';
import type { Command } from './command.js';

export const workerStop: Command = {
  name: 'worker-stop',
  words: [],
  summary: 'Stop all workers once their current jobs have finished',
  flags: ['now'],
  examples: [
    ['worker-stop', 'wait for the current jobs'],
    ['worker-stop --now', 'end the running commands and give their jobs back'],
  ],
  async run({ dataDir, json, now = false }) {
    await withCore(dataDir, async ({ workers }) => {
      if (!json) print('Stopping all workers...');
      const stopped = await workers.stopWorkers({ now });
      printResult(json, 'All workers stopped.', { stopped });
    });
  },
};
