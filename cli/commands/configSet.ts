import { checkConfigKey } from '../../db/model/settings.js';
import type { Command } from '../line/command.js';
import { printResult } from '../text/output.js';
import { withCore } from '../withCore.js';

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
