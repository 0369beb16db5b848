/** Who may use a store in files: whoever can write to it can have commands run as the user of its workers. */
import fs from 'node:fs';
import { QueuectlError, storageError } from '../../utils/errors.js';

/** Set to 1 to use a directory that others own or can write to. */
const TRUST_VARIABLE = 'QUEUECTL_TRUST_DATA_DIR';

export interface TrustFault {
  readonly fact: string;
  readonly remedy: string;
}

/** Whether the user says that who can write to the data directory is to be trusted. */
export const isTrusted = () => process.env[TRUST_VARIABLE] === '1';

/**
 * Why a directory is not to be used, unless the user says so; undefined when it is safe, or not there yet. What lies in it
 * counts too: it may have been made while others could write to it.
 *
 * @param inside the parts of the store that lie in it
 */
export function findTrustFault(dir: string, inside: readonly string[]): TrustFault | undefined {
  if (isTrusted()) return undefined;
  const stat = statOf(dir);
  if (stat === undefined || !stat.isDirectory()) return undefined;
  const fault = findFault(dir, stat, true);
  if (fault !== undefined) return fault;
  const othersMayEnter = (stat.mode & 0o011) !== 0;
  for (const path of inside) {
    const part = statOf(path);
    const fault = part === undefined ? undefined : findFault(path, part, othersMayEnter);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function findFault(path: string, { uid, mode }: fs.Stats, othersMayEnter: boolean): TrustFault | undefined {
  const orTrust = `or set ${TRUST_VARIABLE}=1 if you trust them.`;
  if (uid !== process.geteuid?.()) {
    const fact = `${path} belongs to another user (uid ${uid}), who could have commands run as you`;
    return { fact, remedy: `Use a directory of your own, ${orTrust}` };
  }
  if (!othersMayEnter || (mode & 0o022) === 0) return undefined;
  const fact = `other users can write to ${path}, and so have commands run as you`;
  return { fact, remedy: `Run \`chmod go-w\` on it, ${orTrust}` };
}

/** @throws QueuectlError STORAGE */
export function checkTrust(dir: string, inside: readonly string[]): void {
  const fault = findTrustFault(dir, inside);
  if (fault !== undefined) throw new QueuectlError('STORAGE', fault.fact, fault.remedy);
}

function statOf(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw storageError(error, `look at ${path}`);
  }
}
