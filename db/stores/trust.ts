/** Who may use a store in files: whoever can write to it can have commands run as the user of its workers. */
import fs from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { QueuectlError, storageError } from '../../utils/errors.js';
import { mayBeLossy } from '../../utils/text.js';

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
 * @throws QueuectlError STORAGE: it cannot be looked at, or a part is a link of another user
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

/** As many as Linux follows (path_resolution(7)). */
const LINKS_MAX = 40;

/**
 * Where a path leads, with no link left in it, so that nobody can turn it elsewhere while a process uses it. What is not there
 * yet is taken as it is written.
 *
 * @param path absolute
 * @throws QueuectlError STORAGE: a link on the way belongs to another user, who could turn it elsewhere, or leads to a path that
 *   is not UTF-8
 */
export function resolveLinks(path: string): string {
  let resolved = '/';
  let links = 0;
  const left = partsOf(path);
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    const next = resolve(resolved, part);
    const stat = looking(next, () => fs.lstatSync(next, { throwIfNoEntry: false }));
    if (!stat?.isSymbolicLink()) {
      resolved = next;
      continue;
    }
    links += 1;
    if (links > LINKS_MAX) throw new QueuectlError('STORAGE', `too many links lead to ${path}`, 'Name another place.');
    if (stat.uid !== 0 && stat.uid !== process.geteuid?.() && !isTrusted()) throw othersLink(next, stat.uid);
    const target = looking(next, () => fs.readlinkSync(next));
    if (mayBeLossy(target)) {
      throw new QueuectlError('STORAGE', `the link ${next} leads to a path that is not UTF-8`, 'Name another place.');
    }
    if (isOfAnotherNamespace(next)) {
      resolved = next;
      continue;
    }
    if (isAbsolute(target)) resolved = '/';
    left.unshift(...partsOf(target));
  }
  return resolved;
}

const OF_A_PROCESS = /^\/proc\/\d+(?=\/)/;

/** Whether a link says where it leads as a process of another mount namespace sees it, as `/proc/<pid>/root` does (proc(5)). */
function isOfAnotherNamespace(link: string): boolean {
  const [place] = OF_A_PROCESS.exec(link) ?? [];
  if (place === undefined) return false;
  const namespaceAt = (path: string) => looking(path, () => fs.readlinkSync(path));
  return namespaceAt(`${place}/ns/mnt`) !== namespaceAt('/proc/self/ns/mnt');
}

const partsOf = (path: string) => path.split('/').filter((part) => part !== '');

function othersLink(path: string, uid: number): QueuectlError {
  const fact = `${path} is a link of another user (uid ${uid}), who could turn it elsewhere and have commands run as you`;
  return new QueuectlError('STORAGE', fact, `Name the place itself, or set ${TRUST_VARIABLE}=1 if you trust them.`);
}

/** @throws QueuectlError STORAGE */
export function checkTrust(dir: string, inside: readonly string[]): void {
  const fault = findTrustFault(dir, inside);
  if (fault !== undefined) throw new QueuectlError('STORAGE', fault.fact, fault.remedy);
}

/** Of what is there, or of what a link there leads to. */
function statOf(path: string): fs.Stats | undefined {
  const look = (at: string) => looking(at, () => fs.lstatSync(at, { throwIfNoEntry: false }));
  const stat = look(path);
  return stat?.isSymbolicLink() ? look(resolveLinks(path)) : stat;
}

function looking<T>(path: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw storageError(error, `look at ${path}`);
  }
}
