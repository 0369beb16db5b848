/** Where the store of a command line is. */
import { defaultDirectory, type Origin, readAddress, readDirectory, type Surroundings } from '../../core/address.js';
import type { StoreAddress } from '../../db/index.js';
import { QueuectlError } from '../../utils/errors.js';
import { quoteWord } from '../../utils/shell.js';

/** Where the store of a command line is, and how another one names it. */
export interface Place {
  readonly address: StoreAddress;
  /** The words that a command line needs to mean the same store. */
  readonly flags: readonly string[];
  /** Whether somebody has said that it is to be there. */
  readonly isNamed: boolean;
}

const byFlag = (name: string): Origin => ({ code: 'USAGE', name, give: (address) => `--store ${quoteWord(address)}` });
const byVariable = (name: string): Origin => ({
  code: 'USAGE',
  name: `$${name}`,
  give: (address) => `QUEUECTL_STORE=${quoteWord(address)}`,
});

/**
 * The store: `--store` or `--data-dir`, else `$QUEUECTL_STORE`, else `$QUEUECTL_DATA_DIR`, else the default directory. An empty
 * variable counts as unset.
 *
 * @throws QueuectlError USAGE: no address, one of a store that this version does not have, or two of them
 */
export function findPlace(
  { store, dataDir }: { readonly store?: string | undefined; readonly dataDir?: string | undefined },
  surroundings: Surroundings,
): Place {
  const { QUEUECTL_STORE, QUEUECTL_DATA_DIR } = surroundings.env;
  if (store !== undefined && dataDir !== undefined) {
    throw new QueuectlError('USAGE', '--store and --data-dir exclude each other', 'Give one of them.');
  }
  if (store !== undefined) {
    const address = readAddress(store, byFlag('--store'), surroundings);
    return { address, flags: ['--store', store], isNamed: true };
  }
  if (dataDir !== undefined) {
    return { address: readDirectory(dataDir, byFlag('--data-dir')), flags: ['--data-dir', dataDir], isNamed: true };
  }
  if (QUEUECTL_STORE) {
    const address = readAddress(QUEUECTL_STORE, byVariable('QUEUECTL_STORE'), surroundings);
    return { address, flags: [], isNamed: true };
  }
  if (QUEUECTL_DATA_DIR) {
    return { address: readDirectory(QUEUECTL_DATA_DIR, byVariable('QUEUECTL_DATA_DIR')), flags: [], isNamed: true };
  }
  const remedy = 'Name a directory with --data-dir or $QUEUECTL_DATA_DIR.';
  const dir = defaultDirectory(surroundings, { code: 'USAGE', remedy });
  return { address: { kind: 'file', dir }, flags: [], isNamed: false };
}

/** The directory or the file that the store is. */
export const pathOf = ({ address }: Place): string => (address.kind === 'file' ? address.dir : address.path);
