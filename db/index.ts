/** Opens the store at an address: the one place that knows which kinds there are. */
import { basename, dirname, join } from 'node:path';
import type { Store, StoreOptions } from './store.js';
import { FileStore } from './stores/file/fileStore.js';
import { storePaths, trustedParts } from './stores/file/paths.js';
import { sqlitePaths, trustedParts as trustedSqliteParts } from './stores/sql/paths.js';
import { SqliteStore } from './stores/sql/sqliteStore.js';
import { checkTrust, resolveLinks } from './stores/trust.js';

/** Where a store is. Paths are absolute; what is not there is made when something is first written to it. */
export type StoreAddress =
  | { readonly kind: 'file'; readonly dir: string }
  | { readonly kind: 'sqlite'; readonly path: string };

/**
 * The address without links on the way, which somebody could turn elsewhere: what a process goes by as long as it lives.
 *
 * @throws QueuectlError STORAGE: another user could
 */
export function resolveAddress(address: StoreAddress): StoreAddress {
  if (address.kind === 'file') return { kind: 'file', dir: resolveLinks(address.dir) };
  const { path } = address;
  return { kind: 'sqlite', path: join(resolveLinks(dirname(path)), basename(path)) }; // a link to a file is refused later
}

/**
 * @param address as `resolveAddress` returns it
 * @throws QueuectlError STORAGE: others own it or can write to it
 */
export function openStore(address: StoreAddress, options: StoreOptions): Store {
  if (address.kind === 'sqlite') {
    const { path } = address;
    checkTrust(dirname(path), trustedSqliteParts(sqlitePaths(path)));
    return new SqliteStore(path, options);
  }
  checkTrust(address.dir, trustedParts(storePaths(address.dir)));
  return new FileStore(address.dir, options);
}

/** Where this machine keeps what belongs to its workers on a store: outputs, notes of processes, their log. */
export const stateDirectoryOf = (address: StoreAddress): string =>
  address.kind === 'file' ? address.dir : sqlitePaths(address.path).state;
