import { JOB_STATES } from '../../db/model/job.js';
import { QueuectlError } from '../../utils/errors.js';
import type { Run } from '../line/command.js';
import { printResult, warn } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { status } from './index.js';

export const run: Run<typeof status> = async ({ place, json }) => {
  await withCore(place, async ({ queue, workers }) => {
    await workers.recoverLost();
    const jobs = await queue.counts();
    const { workers: living, missing, fault } = await workers.listWorkers();
    const counts = [['activeWorkers', living.length], ...JOB_STATES.map((state) => [state, jobs[state]])];
    if (fault !== undefined) warn(`there may be more workers: ${fault.message}`);
    await queue.getAllConfig().catch((error: unknown) => {
      if (!(error instanceof QueuectlError)) throw error;
      warn(`workers cannot work: ${error.message}`);
    });
    for (const fact of missing) warn(`${fact}. It is tried again and again.`);
    const line = counts.map(([name, count]) => `${name}: ${count}`).join(', ');
    printResult(json, `📊 Queue Status:\n{ ${line} }`, Object.fromEntries(counts));
  });
};
