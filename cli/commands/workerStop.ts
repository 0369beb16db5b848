import type { Core } from '../../core/open.js';
import { delay } from '../../utils/delay.js';
import { QueuectlError } from '../../utils/errors.js';
import { advise } from '../line/advice.js';
import type { Run } from '../line/command.js';
import { print, printResult, talk, visible } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { workerStop } from './index.js';

/** So long nobody wonders what is going on; and so long where all is to end at once. */
const [MOMENT_MS, NOW_MS] = [1000, 2000];
const NAMED_JOBS = 5;

export const run: Run<typeof workerStop> = async ({ place, json, now = false }) => {
  await withCore(place, async ({ queue, workers }) => {
    const { workers: living, fault } = await workers.listWorkers();
    const isNeeded = living.length > 0 || fault !== undefined;
    if (!json && isNeeded) print('Stopping all workers...');
    const stopping = workers.stopWorkers({ now });
    const isSlow = Promise.race([stopping.then(() => false), delay(now ? NOW_MS : MOMENT_MS).then(() => true)]);
    if (!json && (await isSlow)) {
      const [jobs, pids] = [now ? [] : await runningJobs(queue), await workers.listPids()];
      const atOnce = `\`${advise(place, 'worker-stop', '--now')}\``;
      if (jobs.length > 0) talk(`${describe(jobs)} ${atOnce} ends what runs.`);
      else if (pids.length > 0)
        talk(`Waiting for ${named(pids)}.${now ? '' : ` ${atOnce} also wakes what was stopped (SIGSTOP).`}`);
    }
    const stopped = await stopping;
    printResult(json, isNeeded || stopped > 0 ? 'All workers stopped.' : 'No workers are running.', { stopped });
  });
};

/** @returns none when the queue cannot be read: the workers are stopped all the same, and the end tells why */
async function runningJobs(queue: Core['queue']): Promise<string[]> {
  try {
    return (await queue.list('processing')).map(({ id }) => id);
  } catch (error) {
    if (error instanceof QueuectlError) return [];
    throw error;
  }
}

const named = (pids: readonly number[]) =>
  `${pids.length === 1 ? 'a process of queuectl' : `${pids.length} processes of queuectl`} to end: ${pids.join(', ')}`;

function describe(jobs: readonly string[]): string {
  const named = jobs.slice(0, NAMED_JOBS).map((id) => visible(id));
  const others = jobs.length - named.length;
  const names = others === 0 ? named.join(', ') : `${named.join(', ')} and ${others} more`;
  return `Waiting for ${jobs.length === 1 ? 'a job that runs' : `${jobs.length} jobs that run`}: ${names}.`;
}
