/** Settings, in a file of their own that is replaced whole under the store's lock. */
import { QueuectlError } from '../../utils/errors.js';
import { damaged, type FileIdentity, identityOf, parseJsonFile, readWhole, sameIdentity } from '../../utils/files.js';
import {
  CONFIG_KEYS,
  type Config,
  type ConfigKey,
  DEFAULT_CONFIG,
  findConfigFault,
  findConfigKey,
} from '../model/settings.js';
import type { ConfigRepo } from '../store.js';

/** Replaces the file's whole content while nobody else does. */
export type ReplaceConfig = (next: () => Buffer) => Promise<void>;

interface Settings {
  readonly config: Config;
  readonly unknown: Readonly<Record<string, unknown>>;
}

export class FileConfigRepo implements ConfigRepo {
  /** Read anew only when the file is another. */
  private last: { readonly identity: FileIdentity | null; readonly settings: Settings } | undefined;

  constructor(
    private readonly path: string,
    private readonly replace: ReplaceConfig,
  ) {}

  async getConfig<K extends ConfigKey>(key: K): Promise<Config[K]> {
    return this.read().config[key];
  }

  async getAllConfig(): Promise<Config> {
    return this.read().config;
  }

  setConfig<K extends ConfigKey>(key: K, value: Config[K]): Promise<void> {
    return this.replace(() => {
      const { config, unknown } = this.read();
      return configContent({ ...config, [key]: value, ...unknown });
    });
  }

  /** @throws QueuectlError DAMAGED: not an object, or a setting out of range */
  private read(): Settings {
    const identity = identityOf(this.path);
    if (this.last === undefined || !sameIdentity(this.last.identity, identity)) {
      this.last = { identity, settings: this.parse(readWhole(this.path)) };
    }
    return this.last.settings;
  }

  private parse(file: { content: Buffer } | null): Settings {
    const { found, unknown } = sort(file === null ? {} : parseObject(this.path, file.content));
    for (const key of CONFIG_KEYS) {
      const fault = findConfigFault(key, found[key]);
      if (fault !== undefined) throw damaged(this.path, `"${key}" ${fault}`);
    }
    return { config: found as Config, unknown }; // findConfigFault has checked every setting
  }
}

/** @throws QueuectlError DAMAGED */
function parseObject(path: string, content: Buffer): object {
  const values = parseJsonFile(path, content);
  if (typeof values === 'object' && values !== null && !Array.isArray(values)) return values;
  throw damaged(path, 'it is not a JSON object');
}

/** Tells the settings, defaults filled in, from what this version does not know. */
function sort(values: object): { found: Record<ConfigKey, unknown>; unknown: Record<string, unknown> } {
  const found: Record<ConfigKey, unknown> = { ...DEFAULT_CONFIG };
  const unknown: [string, unknown][] = [];
  for (const [name, value] of Object.entries(values)) {
    const key = findConfigKey(name);
    if (key === undefined)
      unknown.push([name, value]); // a newer version's
    else if (key === name || !Object.hasOwn(values, key)) found[key] = value;
  }
  return { found, unknown: Object.fromEntries(unknown) };
}

/** Reads a config.json whatever is wrong with it; where something is, the default holds. */
export function salvageSettings(
  path: string,
  content: Buffer,
): { values: Record<string, unknown>; unknown: string[]; faults: string[] } {
  const faults: string[] = [];
  let values: object = {};
  try {
    values = parseObject(path, content);
  } catch (error) {
    if (!(error instanceof QueuectlError)) throw error;
    faults.push(error.fact);
  }
  const { found, unknown } = sort(values);
  for (const key of CONFIG_KEYS) {
    const fault = findConfigFault(key, found[key]);
    if (fault === undefined) continue;
    faults.push(`"${key}" ${fault}`);
    found[key] = DEFAULT_CONFIG[key];
  }
  return { values: { ...found, ...unknown }, unknown: Object.keys(unknown), faults };
}

/** What a config.json of these settings holds. */
export const configContent = (values: object): Buffer => Buffer.from(`${JSON.stringify(values, null, 2)}\n`);
