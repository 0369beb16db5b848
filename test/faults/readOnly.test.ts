/** A file system that becomes read-only, as a failing disk does. */
import assert from 'node:assert/strict';
import { byKind, storeTest } from '../integration/support.js';
import { ALL, checkIntact, refusedCommands, WRITING } from './everyCommand.js';
import { mountingTests, withTmpfs } from './mounts.js';
import { fill } from './scenarios.js';

mountingTests(import.meta.filename, () => {
  // Whoever reads an SQLite database writes down that he does, in the memory that all who use it share.
  const [title, expected] = byKind({
    file: ['by what writes, and reading goes on', WRITING],
    sqlite: ['by whatever is done', ALL],
  });

  storeTest(`a read-only file system is named at once ${title}`, (store) =>
    withTmpfs(store.directory, 'size=1m', async ({ setReadOnly }) => {
      await fill(store.directory);
      setReadOnly(true);
      assert.deepEqual(await refusedCommands(store), expected);
      setReadOnly(false);
      await checkIntact(store);
    }),
  );
});
