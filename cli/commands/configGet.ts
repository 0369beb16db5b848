import type { Run } from '../line/command.js';
import { readConfigKey } from '../line/configKey.js';
import { printResult } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { configGet } from './index.js';

export const run: Run<typeof configGet> = async ({ place, json }, name) => {
  const key = name === undefined ? undefined : readConfigKey(name);
  const config = await withCore(place, async ({ queue }) =>
    key === undefined ? queue.getAllConfig() : { [key]: await queue.getConfig(key) },
  );
  const lines = Object.entries(config).map(([setting, value]) => `${setting}: ${value}`);
  printResult(json, lines.join('\n'), config);
};
