import { print, toJsonLines } from '../helpers/output.js';
import { withCore } from '../helpers/withCore.js';
import type { Command } from './command.js';

export const dlqList: Command = {
  name: 'dlq-list',
  words: [],
  summary: 'Print the jobs of the dead letter queue as a JSON array',
  flags: [],
  examples: [[`dlq-list | jq -r '.[] | .id + ": " + .error'`, 'what went wrong with each']],
  async run({ dataDir }) {
    print(toJsonLines(await withCore(dataDir, ({ queue }) => queue.listDLQ())));
  },
};
