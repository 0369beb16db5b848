/** The kinds of store that the contract is run on. */
import { join } from 'node:path';
import type { StoreAddress } from '../../../db/index.js';
import { Memory, MemoryStore } from '../../../db/stores/memory/memoryStore.js';
import { tempStore } from '../../helpers/tempStore.js';
import { storeAt, type TestOptions, type TestStore, testStore } from '../../helpers/testStore.js';

/** Room for one store. */
export interface Place {
  /** Opens another handle on it. */
  open(options?: TestOptions): TestStore;
  /** Where other processes find it; absent when they cannot. */
  readonly address?: StoreAddress;
}

export interface StoreKind {
  readonly name: string;
  /** Makes room for an empty store. */
  makePlace(): Place;
  /** Whether others can change it while it is read. */
  readonly readsWhileOthersWrite: boolean;
}

const at = (address: StoreAddress): Place => ({ address, open: (options) => storeAt(address, options) });

export const memoryKind: StoreKind = {
  name: 'memory',
  readsWhileOthersWrite: false, // nobody else is there
  makePlace() {
    const memory = new Memory();
    return { open: (options) => testStore(({ clock }) => new MemoryStore(memory, clock), options) };
  },
};

const file: StoreKind = {
  name: 'file',
  readsWhileOthersWrite: true,
  makePlace: () => at({ kind: 'file', dir: tempStore() }),
};

const sqlite: StoreKind = {
  name: 'sqlite',
  readsWhileOthersWrite: true,
  makePlace: () => at({ kind: 'sqlite', path: join(tempStore(), 'queue.db') }),
};

/** A row for each kind of address. */
export const KINDS: Readonly<Record<StoreAddress['kind'], StoreKind>> = { file, sqlite };
