/** A store with the verbs of its repositories at hand, as tests of all layers use it. */

import { isAlive } from '../../core/workers/liveness.js';
import { openStore, type StoreAddress } from '../../db/index.js';
import type { Access } from '../../db/repositories/access.js';
import { ConfigRepo } from '../../db/repositories/configRepo.js';
import { DlqRepo } from '../../db/repositories/dlqRepo.js';
import { type Repositories, repositoriesIn, repositoriesOf } from '../../db/repositories/index.js';
import { JobRepo } from '../../db/repositories/jobRepo.js';
import type { Durability, Reader, Store, StoreOptions } from '../../db/store.js';
import { FileStore } from '../../db/stores/file/fileStore.js';
import type { QueuectlError } from '../../utils/errors.js';

export interface TestStore extends Repositories {
  /** The store itself. */
  readonly store: Store;
  readonly config: ConfigRepo;
  readonly workers: Store['workers'];
  transaction<T>(work: (repositories: Repositories) => Promise<T>, durability?: Durability): Promise<T>;
  look<T>(work: (repositories: Repositories) => Promise<T>): Promise<T>;
  /** @returns what kept it from being tidied */
  close(): Promise<QueuectlError | undefined>;
}

export type TestOptions = Partial<Omit<StoreOptions, 'onWarning'>>;

/** Each commit is a line of the journal, as that of a command beside workers: nobody is on record here, but this role never asks. */
export const BESIDE_WORKERS = { role: 'supervisor' } as const satisfies TestOptions;

/** @param open opens the store with these options */
export function testStore<S extends Store>(
  open: (options: StoreOptions) => S,
  options: TestOptions = {},
): TestStore & { readonly store: S } {
  let warning: QueuectlError | undefined;
  const onWarning = (told: QueuectlError) => {
    warning = told;
  };
  const store = open({ role: 'command', isAlive, ...options, onWarning });
  return {
    ...repositoriesOf(store),
    store,
    config: new ConfigRepo(store.settings),
    workers: store.workers,
    transaction: (work, durability = 'soon') =>
      store.transaction((transaction) => work(repositoriesIn(transaction)), durability),
    look: (work) => store.read((reader) => work(repositoriesAt(reader))),
    async close() {
      await store.close();
      return warning;
    },
  };
}

export type FileTestStore = TestStore & { readonly store: FileStore };

/** A file store. */
export const fileStore = (dir: string, options?: TestOptions): FileTestStore =>
  testStore((all) => new FileStore(dir, all), options);

/** Whatever store is at the address. */
export const storeAt = (address: StoreAddress, options?: TestOptions): TestStore =>
  testStore((all) => openStore(address, all), options);

/** The verbs that read, as things are at one moment. */
function repositoriesAt(reader: Reader): Repositories {
  const access: Access = {
    read: (work) => work(reader),
    write: () => Promise.reject(new Error('a look changes nothing')),
  };
  return { jobs: new JobRepo(access), dlq: new DlqRepo(access) };
}
