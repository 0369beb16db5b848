/** Settings: what was set, the defaults filled in. */
import { damaged } from '../../utils/files.js';
import { CONFIG_KEYS, type Config, type ConfigKey, findConfigFault, sortSettings } from '../model/settings.js';
import type { SettingsTable, SettingValues } from '../store.js';

export class ConfigRepo {
  private last: { readonly values: SettingValues; readonly config: Config } | undefined;

  constructor(private readonly table: SettingsTable) {}

  async getConfig<K extends ConfigKey>(key: K): Promise<Config[K]> {
    return (await this.getAllConfig())[key];
  }

  /**
   * The settings, defaults filled in.
   *
   * @throws QueuectlError DAMAGED: one is out of range
   */
  async getAllConfig(): Promise<Config> {
    const values = await this.table.read();
    if (this.last?.values !== values) this.last = { values, config: this.checked(values) };
    return this.last.config;
  }

  /** On disk before it returns. The value must have passed `findConfigFault`. */
  setConfig<K extends ConfigKey>(key: K, value: Config[K]): Promise<void> {
    return this.table.replace((values) => ({
      ...this.checked(values),
      [key]: value,
      ...sortSettings(values).unknown,
    }));
  }

  private checked(values: SettingValues): Config {
    const { found } = sortSettings(values);
    for (const key of CONFIG_KEYS) {
      const fault = findConfigFault(key, found[key]);
      if (fault !== undefined) throw damaged(this.table.place, `"${key}" ${fault}`);
    }
    return found as Config; // findConfigFault has checked every setting
  }
}
