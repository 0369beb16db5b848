import { T0 } from '../../../helpers/jobFactory.js';
import { type FileTestStore, fileStore } from '../../../helpers/testStore.js';

const HOUR_MS = 3_600_000;

/** A store by whose clock a fold is due when `fold` is called, and at no other time. */
export function foldingStore(dir: string): { readonly store: FileTestStore; readonly fold: () => Promise<void> } {
  let now = T0 + 1000 * HOUR_MS;
  const store = fileStore(dir, { clock: () => now, role: 'worker' });
  return {
    store,
    fold() {
      now += HOUR_MS;
      return store.store.fold(0);
    },
  };
}
