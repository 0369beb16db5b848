import { tempStore } from '../helpers/tempStore.js';
import { describeStore } from './contract.js';

describeStore('FileStore', {
  opener: new URL('./openFileStore.ts', import.meta.url).href,
  makePlace: async () => tempStore(),
});
