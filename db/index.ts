/** Opens the store in a data directory. The place where another kind of store would be chosen. */
import { FileStore, type FileStoreOptions } from './file/fileStore.js';
import type { Store } from './store.js';

/** @param dataDir an absolute path; it is made when something is first written to it */
export const openFileStore = (dataDir: string, options?: FileStoreOptions): Store => new FileStore(dataDir, options);
