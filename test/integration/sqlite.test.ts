/** What proves the promises, run on the SQLite store too. All of the tests can be; docs/contributing.md says how. */
import { test } from 'node:test';
import { sqliteMissing } from '../helpers/sqliteTest.js';

const CHOSEN = ['recovery', 'concurrency', 'signals', '../faults/killedWorker', '../faults/stoppedHolder'];

const wasAskedFor = process.env.QUEUECTL_TEST_STORE !== undefined && 'the other files are run on the store asked for';
const obstacle = wasAskedFor || sqliteMissing;

if (obstacle !== false) {
  test('on SQLite', { skip: obstacle });
} else {
  process.env.QUEUECTL_TEST_STORE = 'sqlite'; // looked at when they are loaded
  for (const file of CHOSEN) await import(`./${file}.test.js`);
}
