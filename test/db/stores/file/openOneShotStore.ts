/** Opens the store under test as the command line does. */
import { FileStore } from '../../../../db/stores/file/fileStore.js';

export const openStore = (place: string): FileStore => new FileStore(place, { folds: 'at once' });
