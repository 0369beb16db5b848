/** A file system that becomes read-only, as a failing disk does. */
import assert from 'node:assert/strict';
import { storeTest } from '../integration/support.js';
import { checkIntact, refusedCommands, WRITING } from './everyCommand.js';
import { mountingTests, withTmpfs } from './mounts.js';
import { fill } from './scenarios.js';

mountingTests(import.meta.filename, () => {
  storeTest('a read-only file system is named at once by what writes, and reading goes on', (store) =>
    withTmpfs(store.directory, 'size=1m', async ({ setReadOnly }) => {
      await fill(store.directory);
      setReadOnly(true);
      assert.deepEqual(await refusedCommands(store), WRITING);
      setReadOnly(false);
      await checkIntact(store);
    }),
  );
});
