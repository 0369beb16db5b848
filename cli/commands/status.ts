import { LISTED_STATES } from '../../db/model/job.js';
import type { Command } from '../line/command.js';
import { printResult, warn } from '../text/output.js';
import { withCore } from '../withCore.js';

export const status: Command = {
  name: 'status',
  words: [],
  summary: 'Count the workers and the jobs in each state',
  flags: [],
  examples: [['status --json | jq .pending', 'how many jobs wait']],
  async run({ dataDir, json }) {
    await withCore(dataDir, async ({ queue, workers }) => {
      await workers.recoverLost();
      const jobs = await queue.counts();
      const { workers: living, doubt } = await workers.listWorkers();
      const counts = [['activeWorkers', living.length], ...LISTED_STATES.map((state) => [state, jobs[state]])];
      if (doubt !== undefined) warn(`there may be more workers: ${doubt.message}`);
      const line = counts.map(([name, count]) => `${name}: ${count}`).join(', ');
      printResult(json, `📊 Queue Status:\n{ ${line} }`, Object.fromEntries(counts));
    });
  },
};
