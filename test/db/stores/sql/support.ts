/** What the tests of the SQLite store have in common. */
import { join } from 'node:path';
import { loadDriver } from '../../../../db/stores/sql/driver.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { storeAt, type TestOptions, type TestStore } from '../../../helpers/testStore.js';

/** Where a database may be made, until the tests of this file are over. */
export const tempDatabase = (): string => join(tempStore(), 'queue.db');

export const sqliteStore = (path: string, options?: TestOptions): TestStore =>
  storeAt({ kind: 'sqlite', path }, options);

/** Does something to a database as any other program might. @returns the rows of the last statement, if it has any */
export function withSql(path: string, sql: string, last?: string): Readonly<Record<string, unknown>>[] {
  const connection = loadDriver().connect(path);
  try {
    connection.exec(sql);
    return last === undefined
      ? []
      : connection
          .prepare(last)
          .all()
          .map((row) => ({ ...row }));
  } finally {
    connection.close();
  }
}
