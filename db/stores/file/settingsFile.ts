/** Settings, in a file of their own that is replaced whole under the store's lock. */
import { QueuectlError } from '../../../utils/errors.js';
import {
  damaged,
  type FileIdentity,
  identityOf,
  parseJsonFile,
  readWhole,
  sameIdentity,
} from '../../../utils/files.js';
import { CONFIG_KEYS, DEFAULT_CONFIG, findConfigFault, sortSettings } from '../../model/settings.js';
import type { SettingsTable, SettingValues } from '../../store.js';

/** Replaces the file's whole content while nobody else does. */
export type ReplaceFile = (next: () => Buffer) => Promise<void>;

export class SettingsFile implements SettingsTable {
  /** Read anew only when the file is another. */
  private last: { readonly identity: FileIdentity | null; readonly values: SettingValues } | undefined;

  constructor(
    readonly place: string,
    private readonly replaceFile: ReplaceFile,
  ) {}

  async read(): Promise<SettingValues> {
    return this.current();
  }

  replace(next: (values: SettingValues) => SettingValues): Promise<void> {
    return this.replaceFile(() => settingsContent(next(this.current())));
  }

  private current(): SettingValues {
    const identity = identityOf(this.place);
    if (this.last === undefined || !sameIdentity(this.last.identity, identity)) {
      const file = readWhole(this.place);
      this.last = { identity, values: file === null ? {} : parseSettings(this.place, file.content) };
    }
    return this.last.values;
  }
}

/** @throws QueuectlError DAMAGED */
function parseSettings(path: string, content: Buffer): SettingValues {
  const values = parseJsonFile(path, content);
  if (typeof values === 'object' && values !== null && !Array.isArray(values)) return { ...values };
  throw damaged(path, 'it is not a JSON object');
}

/** Reads a config.json whatever is wrong with it; where something is, the default holds. */
export function salvageSettings(
  path: string,
  content: Buffer,
): { values: SettingValues; unknown: string[]; faults: string[] } {
  const faults: string[] = [];
  let values: SettingValues = {};
  try {
    values = parseSettings(path, content);
  } catch (error) {
    if (!(error instanceof QueuectlError)) throw error;
    faults.push(error.fact);
  }
  const { found, unknown } = sortSettings(values);
  for (const key of CONFIG_KEYS) {
    const fault = findConfigFault(key, found[key]);
    if (fault === undefined) continue;
    faults.push(`"${key}" ${fault}`);
    found[key] = DEFAULT_CONFIG[key];
  }
  return { values: { ...found, ...unknown }, unknown: Object.keys(unknown), faults };
}

/** What a config.json of these settings holds. */
export const settingsContent = (values: SettingValues): Buffer => Buffer.from(`${JSON.stringify(values, null, 2)}\n`);
