import assert from 'node:assert/strict';
import { DEFAULT_CONFIG } from '../../../db/model/settings.js';
import type { StoreKind } from './kinds.js';
import { topic } from './support.js';

export function describeSettings(kind: StoreKind): void {
  topic(kind, 'settings', (storeTest) => {
    storeTest('keeps what is set and leaves the other settings', async (store, other) => {
      await store.config.setConfig('max_retries', 7);
      await other.config.setConfig('backoff_base', 1.5);
      for (const handle of [store, other]) {
        assert.equal(await handle.config.getConfig('max_retries'), 7);
        assert.deepEqual(await handle.config.getAllConfig(), { ...DEFAULT_CONFIG, max_retries: 7, backoff_base: 1.5 });
      }
    });

    storeTest('gives the same object until something is set', async (store, other) => {
      await store.config.setConfig('max_retries', 7);
      const { settings } = other.store;
      const values = await settings.read();
      assert.equal(await settings.read(), values);
      await store.config.setConfig('max_retries', 8);
      assert.notEqual(await settings.read(), values);
      assert.equal((await settings.read()).max_retries, 8);
    });

    storeTest('loses none of those that are set at once', async (store, other) => {
      await Promise.all([
        store.config.setConfig('max_retries', 7),
        other.config.setConfig('backoff_base', 3),
        store.config.setConfig('backoff_max', 60),
        other.config.setConfig('kill_grace', 1),
      ]);
      const set = { max_retries: 7, backoff_base: 3, backoff_max: 60, kill_grace: 1 };
      for (const handle of [store, other])
        assert.deepEqual(await handle.config.getAllConfig(), { ...DEFAULT_CONFIG, ...set });
    });

    storeTest('keeps what this version does not know, and drops what is taken away', async (store, other) => {
      const deep = { list: [1, null, 'ä\u0000\ud800'], text: '"' };
      await store.store.settings.replace((values) => ({ ...values, from_the_future: deep, max_retries: 2 }));
      await other.config.setConfig('backoff_base', 3);
      assert.deepEqual((await store.store.settings.read()).from_the_future, deep);
      await other.store.settings.replace(({ from_the_future: _, ...rest }) => rest);
      assert.ok(!Object.hasOwn(await store.store.settings.read(), 'from_the_future'));
      assert.equal(await store.config.getConfig('max_retries'), 2);
    });

    storeTest('keeps nothing when the change throws', async (store, other) => {
      await store.config.setConfig('max_retries', 7);
      const failure = new Error('no');
      const attempt = store.store.settings.replace(() => {
        throw failure;
      });
      await assert.rejects(attempt, failure);
      await other.config.setConfig('backoff_base', 3);
      assert.equal(await store.config.getConfig('max_retries'), 7);
    });
  });
}
