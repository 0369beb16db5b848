/** Says which SQLite it has, after using it; or why it has none, and exits with 1. */
import fs from 'node:fs';
import { loadDriver } from '../../../../db/stores/sql/driver.js';
import { QueuectlError } from '../../../../utils/errors.js';

try {
  const driver = loadDriver();
  const connection = driver.connect(':memory:');
  if (connection.prepare('SELECT 1 AS one').get()?.one !== 1) throw new Error('it cannot count');
  connection.close();
  fs.writeSync(1, `${driver.name}\n`);
} catch (error) {
  if (!(error instanceof QueuectlError)) throw error;
  fs.writeSync(2, `${error.message}\n`);
  process.exitCode = 1;
}
