import { checkConfigKey } from '../../db/schema.js';
import { printResult } from '../helpers/output.js';
import { withCore } from '../helpers/withCore.js';
import type { Command } from './command.js';

export const configSet: Command = {
  name: 'config-set',
  words: ['<key>', '<value>'],
  summary: 'Change a setting',
  flags: [],
  examples: [
    ['config-set max_retries 5', 'retries of jobs that do not say'],
    ['config-set backoff_base 3', 'retry after 3, 9, 27 ... seconds'],
  ],
  async run({ dataDir, json }, name: string, text: string) {
    const key = checkConfigKey(name);
    const value = await withCore(dataDir, ({ queue }) => queue.setConfig(key, text));
    printResult(json, `⚙️ Config updated: ${key} = ${value}`, { [key]: value });
  },
};
