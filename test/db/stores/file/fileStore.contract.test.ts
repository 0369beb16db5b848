import { tempStore } from '../../../helpers/tempStore.js';
import { describeStore } from '../../contract.js';

for (const [name, opener] of [
  ['FileStore', './openFileStore.ts'],
  ['FileStore of a command line', './openOneShotStore.ts'],
] as const) {
  describeStore(name, {
    opener: new URL(opener, import.meta.url).href,
    makePlace: async () => tempStore(),
  });
}
