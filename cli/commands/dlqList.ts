import type { Command } from '../line/command.js';
import { print, toJsonLines } from '../text/output.js';
import { withCore } from '../withCore.js';

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
