import { FileStore } from '../../../../db/stores/file/fileStore.js';
import { T0 } from '../../../helpers/jobFactory.js';

const HOUR_MS = 3_600_000;

/** A store by whose clock a fold is due when `fold` is called, and at no other time. */
export function foldingStore(dir: string): { readonly store: FileStore; readonly fold: () => Promise<void> } {
  let now = T0 + 1000 * HOUR_MS;
  const store = new FileStore(dir, { clock: () => now, folds: 'in time' });
  return {
    store,
    fold() {
      now += HOUR_MS;
      return store.idle();
    },
  };
}
