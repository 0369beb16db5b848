import { JOB_STATES } from '../../db/model/job.js';
import type { Run } from '../line/command.js';
import { printResult, warn } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { status } from './index.js';

export const run: Run<typeof status> = async ({ place, json }) => {
  await withCore(place, async ({ queue, workers }) => {
    await workers.recoverLost();
    const jobs = await queue.counts();
    const { workers: living, fault } = await workers.listWorkers();
    const counts = [['activeWorkers', living.length], ...JOB_STATES.map((state) => [state, jobs[state]])];
    if (fault !== undefined) warn(`there may be more workers: ${fault.message}`);
    const line = counts.map(([name, count]) => `${name}: ${count}`).join(', ');
    printResult(json, `📊 Queue Status:\n{ ${line} }`, Object.fromEntries(counts));
  });
};
