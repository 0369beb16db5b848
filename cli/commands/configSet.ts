import { type ConfigKey, configWords } from '../../db/model/settings.js';
import { QueuectlError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';
import type { Run } from '../line/command.js';
import { readConfigKey } from '../line/configKey.js';
import { printResult } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { configSet } from './index.js';

export const run: Run<typeof configSet> = async ({ place, json }, name, text) => {
  const key = readConfigKey(name);
  const value = readNumber(key, text);
  await withCore(place, ({ queue }) => queue.setConfig(key, value));
  printResult(json, `⚙️ Config updated: ${key} = ${value}`, { [key]: value });
};

function readNumber(key: ConfigKey, text: string): number {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (Number.isFinite(value)) return value;
  const fact = `${key} must be ${configWords(key)}, not ${quote(text)}`;
  throw new QueuectlError('INVALID', fact, 'Nothing was changed.', { data: { field: key } });
}
