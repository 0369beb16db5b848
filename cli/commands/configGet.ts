import { checkConfigKey } from '../../db/model/settings.js';
import type { Command } from '../line/command.js';
import { printResult } from '../text/output.js';
import { withCore } from '../withCore.js';

export const configGet: Command = {
  name: 'config-get',
  words: ['[key]'],
  summary: 'Print a setting, or all of them',
  flags: [],
  examples: [
    ['config-get', 'every setting'],
    ['config-get max_retries', 'one setting'],
  ],
  async run({ dataDir, json }, name?: string) {
    const key = name === undefined ? undefined : checkConfigKey(name);
    const config = await withCore(dataDir, async ({ queue }) =>
      key === undefined ? queue.getAllConfig() : { [key]: await queue.getConfig(key) },
    );
    const lines = Object.entries(config).map(([setting, value]) => `${setting}: ${value}`);
    printResult(json, lines.join('\n'), config);
  },
};
