/** Who may use a data directory: whoever can write to it can have commands run as the user of its workers. */
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

/** Why a directory is not to be used, unless the user says so; undefined when it is safe, or not there yet. */
export function findTrustFault(dir: string): TrustFault | undefined {
  if (isTrusted()) return undefined;
  const stat = statOf(dir);
  if (stat === undefined || !stat.isDirectory()) return undefined;
  const orTrust = `or set ${TRUST_VARIABLE}=1 if you trust them.`;
  if (stat.uid !== process.geteuid?.()) {
    const fact = `${dir} belongs to another user (uid ${stat.uid}), who could have commands run as you`;
    return { fact, remedy: `Use a directory of your own, ${orTrust}` };
  }
  if ((stat.mode & 0o022) === 0) return undefined;
  const fact = `other users can write to ${dir}, and so have commands run as you`;
  return { fact, remedy: `Run \`chmod go-w\` on it, ${orTrust}` };
}

/** @throws QueuectlError STORAGE */
export function checkTrust(dir: string): void {
  const fault = findTrustFault(dir);
  if (fault !== undefined) throw new QueuectlError('STORAGE', fault.fact, fault.remedy);
}

function statOf(dir: string): fs.Stats | undefined {
  try {
    return fs.statSync(dir, { throwIfNoEntry: false });
  } catch (error) {
    throw storageError(error, `look at ${dir}`);
  }
}
