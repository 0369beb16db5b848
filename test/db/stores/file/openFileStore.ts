/** Opens the store under test, in the test's process and in those it starts. */
import { FileStore } from '../../../../db/stores/file/fileStore.js';

export const openStore = (place: string): FileStore => new FileStore(place);
