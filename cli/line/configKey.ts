import { CONFIG_KEYS, type ConfigKey, checkConfigKey, findConfigKey } from '../../db/model/settings.js';
import { QueuectlError } from '../../utils/errors.js';
import { nearest } from './nearest.js';

/**
 * The setting that was typed, older spellings included.
 *
 * @throws QueuectlError INVALID: there is none; with the one that is likely meant
 */
export function readConfigKey(name: string): ConfigKey {
  try {
    return checkConfigKey(name);
  } catch (error) {
    const spelt = name.replaceAll('-', '_');
    const meant = findConfigKey(spelt) ?? nearest(spelt, CONFIG_KEYS);
    if (!(error instanceof QueuectlError) || meant === undefined) throw error;
    throw error.with({ remedy: `Did you mean ${meant}? ${error.remedy}` });
  }
}
