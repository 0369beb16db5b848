import type { Command } from '../line/command.js';
import { printResult } from '../text/output.js';
import { withCore } from '../withCore.js';

export const dlqRetry: Command = {
  name: 'dlq-retry',
  words: ['<id>'],
  summary: 'Bring a job back from the dead letter queue, with no attempts counted',
  flags: [],
  examples: [['dlq-retry job1', 'run job1 again']],
  async run({ dataDir, json }, id: string) {
    const job = await withCore(dataDir, ({ queue }) => queue.retryFromDLQ(id));
    printResult(json, `Job '${id}' moved back to queue for retry.`, job);
  },
};
