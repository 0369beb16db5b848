/** Opens the store in a data directory. The place where another kind of store would be chosen. */

import type { Store } from './store.js';
import { FileStore, type FileStoreOptions } from './stores/file/fileStore.js';
import { checkTrust } from './stores/file/trust.js';

/**
 * @param dataDir an absolute path; it is made when something is first written to it
 * @throws QueuectlError STORAGE: others own it or can write to it
 */
export function openFileStore(dataDir: string, options?: FileStoreOptions): Store {
  checkTrust(dataDir);
  return new FileStore(dataDir, options);
}
