/** The random steps of the contract with folds amid them; and at rest the files alone tell everything, a record a line. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { FileStore } from '../../../../db/stores/file/fileStore.js';
import { KINDS } from '../../contract/kinds.js';
import { describeProperty } from '../../contract/property.js';
import { skipFsync } from './fsCalls.js';

let restore: () => void;
before(() => {
  restore = skipFsync();
});
after(() => restore());

describeProperty(KINDS.file, 60, {
  async step({ store }) {
    assert.ok(store instanceof FileStore);
    await store.fold(0);
  },
  atRest({ address }, jobs, dead) {
    assert.ok(address?.kind === 'file');
    const path = join(address.dir, 'journal.ndjson');
    if (!fs.existsSync(path)) {
      assert.deepEqual([...jobs, ...dead], []);
      return;
    }
    assert.equal(fs.readFileSync(path, 'utf8').split('\n').length, 2);
    for (const [file, records] of [
      ['queue.json', jobs],
      ['dlq.json', dead],
    ] as const) {
      const text: string = fs.readFileSync(join(address.dir, file), 'utf8');
      assert.deepEqual(JSON.parse(text), records);
      assert.equal(text.split('\n').length, records.length === 0 ? 2 : records.length + 3);
    }
  },
});
