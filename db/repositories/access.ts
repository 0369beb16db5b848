import type { Durability, Reader, Store, Transaction } from '../store.js';

/** How a repository reaches the records: each verb in a transaction of its own, or all in one that is under way. */
export interface Access {
  read<T>(work: (reader: Reader) => Promise<T>): Promise<T>;
  write<T>(work: (transaction: Transaction) => Promise<T>, durability: Durability): Promise<T>;
}

/** Each verb by itself. */
export const accessTo = (store: Store): Access => ({
  read: (work) => store.read(work),
  write: (work, durability) => store.transaction(work, durability),
});

/** All verbs in one transaction; it is on disk if whoever began it says so. */
export const within = (transaction: Transaction): Access => ({
  read: (work) => work(transaction),
  write: (work) => work(transaction),
});
