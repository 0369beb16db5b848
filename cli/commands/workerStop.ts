import type { Command } from '../line/command.js';
import { print, printResult } from '../text/output.js';
import { withCore } from '../withCore.js';

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
