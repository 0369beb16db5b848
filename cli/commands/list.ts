import { LISTED_STATES, quote } from '../../db/schema.js';
import { QueuectlError } from '../../utils/errors.js';
import { print, toJsonLines } from '../helpers/output.js';
import { withCore } from '../helpers/withCore.js';
import type { Command } from './command.js';

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
