import { LISTED_STATES } from '../../db/model/job.js';
import { QueuectlError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';
import type { Command } from '../line/command.js';
import { print, toJsonLines } from '../text/output.js';
import { withCore } from '../withCore.js';

export const list: Command = {
  name: 'list',
  words: [],
  summary: 'Print the jobs of the queue, oldest first, as a JSON array',
  flags: ['state'],
  examples: [
    ['list', 'every job but the dead ones'],
    ['list --state failed', 'the jobs that wait for a retry'],
    [`list | jq -r '.[].id'`, 'only the ids'],
  ],
  async run({ dataDir, state: name }) {
    const state = LISTED_STATES.find((known) => known === name);
    if (name !== undefined && state === undefined) {
      throw new QueuectlError('USAGE', `unknown state ${quote(name)}`, `Known states: ${LISTED_STATES.join(', ')}.`);
    }
    print(toJsonLines(await withCore(dataDir, ({ queue }) => queue.list(state))));
  },
};
