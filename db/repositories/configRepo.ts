/** Settings, in a file of their own that is replaced whole under the store's lock. */
import { damaged, type FileIdentity, identityOf, parseJsonFile, readWhole, sameIdentity } from '../../utils/files.js';
import { CONFIG_KEYS, type Config, type ConfigKey, DEFAULT_CONFIG, findConfigFault, findConfigKey } from '../schema.js';
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
    const found: { [K in ConfigKey]: unknown } = { ...DEFAULT_CONFIG };
    const unknown: Record<string, unknown> = {};
    if (file !== null) {
      const values = parseJsonFile(this.path, file.content);
      if (typeof values !== 'object' || values === null || Array.isArray(values)) {
        throw damaged(this.path, 'it is not a JSON object');
      }
      for (const [name, value] of Object.entries(values)) {
        const key = findConfigKey(name);
        if (key === undefined)
          unknown[name] = value; // a newer version's
        else if (key === name || !Object.hasOwn(values, key)) found[key] = value;
      }
    }
    for (const key of CONFIG_KEYS) {
      const fault = findConfigFault(key, found[key]);
      if (fault !== undefined) throw damaged(this.path, `"${key}" ${fault}`);
    }
    return { config: found as Config, unknown }; // findConfigFault has checked every setting
  }
}

/** What a config.json of these settings holds. */
export const configContent = (values: object): Buffer => Buffer.from(`${JSON.stringify(values, null, 2)}\n`);
