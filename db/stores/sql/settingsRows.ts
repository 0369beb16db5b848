/** Settings: a row each, its value as JSON. */
import { damaged } from '../../../utils/files.js';
import type { SettingsTable, SettingValues } from '../../store.js';
import type { Database, Session } from './database.js';

const ALL = 'SELECT name, value FROM settings ORDER BY name';
const SET =
  'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value <> excluded.value';

export class SettingsRows implements SettingsTable {
  readonly place: string;
  /** Parsed anew only when the rows are others. */
  private last: { readonly text: string; readonly values: SettingValues } = { text: '[]', values: {} };

  constructor(private readonly database: Database) {
    this.place = `${database.paths.database} (settings)`;
  }

  read(): Promise<SettingValues> {
    return this.database.read((session) => this.current(session));
  }

  replace(next: (values: SettingValues) => SettingValues): Promise<void> {
    return this.database.write((session) => {
      const before = this.current(session);
      const after = next(before);
      for (const [name, value] of Object.entries(after)) session.run(SET, name, JSON.stringify(value));
      for (const name of Object.keys(before)) {
        if (!Object.hasOwn(after, name)) session.run('DELETE FROM settings WHERE name = ?', name);
      }
    }, 'on disk');
  }

  private current(session: Session | undefined): SettingValues {
    const rows = session?.all(ALL) ?? [];
    const text = JSON.stringify(rows);
    if (text !== this.last.text) this.last = { text, values: this.parse(rows) };
    return this.last.values;
  }

  private parse(rows: readonly { readonly name?: unknown; readonly value?: unknown }[]): SettingValues {
    return Object.fromEntries(
      rows.map(({ name, value }) => {
        try {
          return [String(name), JSON.parse(String(value))];
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error;
          throw damaged(this.place, `"${name}" is not JSON`);
        }
      }),
    );
  }
}
