/**
 * Tells a process from a later one with the same pid: by its start time, by the boot in which it started, and by the host.
 *
 * All of it is synchronous. On Linux a look costs some 10 µs (/proc); elsewhere it runs `ps`, some milliseconds.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { errnoCode } from './errors.js';

/** Where a process is, or was. */
export interface Place {
  readonly boot_id: string;
  /** The machine, or the container, the same after a restart. */
  readonly host?: string;
  /** Where its pid holds: a container has a namespace of its own (pid_namespaces(7)). Absent where there are none. */
  readonly pid_namespace?: string;
}

/** Where somebody is who looks at others. */
export type Here = Readonly<Record<'boot_id' | 'host', string> & Record<'pid_namespace', string | undefined>>;

export interface ProcessIdentity extends Place {
  readonly pid: number;
  /** As the operating system tells it: clock ticks since the boot on Linux, a date elsewhere. */
  readonly start_time: string;
}

/** What the operating system tells of a process. */
export interface ProcessFacts {
  readonly startTime: string;
  /** The process group it is in. */
  readonly pgid: number;
  /** It has ended and only waits for its parent to notice. */
  readonly isZombie: boolean;
}

/** Where this process is. Each part is found out when it is asked for: elsewhere than on Linux that takes milliseconds. */
export const here: Here = {
  get boot_id() {
    knownBootId ??= bootId();
    return knownBootId;
  },
  get host() {
    knownHost ??= ownHost();
    return knownHost;
  },
  get pid_namespace() {
    knownNamespace ??= ownNamespace();
    return knownNamespace;
  },
};
let knownBootId: string | undefined;
let knownHost: string | undefined;
let knownNamespace: string | undefined;

/** This process. */
export function currentIdentity(): ProcessIdentity {
  const start_time = startTimeOf(process.pid);
  if (start_time === undefined) throw new Error('the operating system does not tell when this process started');
  const { pid_namespace, ...place } = here;
  return { pid: process.pid, start_time, ...place, ...(pid_namespace === undefined ? {} : { pid_namespace }) };
}

/** Whether this very process of this boot and pid namespace still runs; a zombie does not. */
export function processRuns({ pid, start_time }: Pick<ProcessIdentity, 'pid' | 'start_time'>): boolean {
  if (!pidExists(pid)) return false;
  const facts = lookUp(pid);
  // What cannot be looked at (another user's process, on a system that hides those) is taken for what it claims to be.
  if (facts === undefined) return pidExists(pid);
  return !facts.isZombie && facts.startTime === start_time;
}

/** When the process started, as the operating system tells it; undefined when there is none that can be seen. */
export const startTimeOf = (pid: number): string | undefined => lookUp(pid)?.startTime;

/** What is known of a process; undefined when there is none that can be seen. */
export const lookUp: (pid: number) => ProcessFacts | undefined =
  process.platform === 'linux' ? lookUpInProc : lookUpWithPs;

/** The codes of a process that is not there, or that /proc hides from this user. */
const UNSEEN = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

function lookUpInProc(pid: number): ProcessFacts | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    if (UNSEEN.has(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
  // The second field is the program's name in parentheses, which may itself hold spaces and parentheses (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', , pgid = ''] = fields;
  return { startTime: fields[19] ?? '', pgid: Number(pgid), isZombie: state === 'Z' || state === 'X' };
}

/** The same for systems without /proc. Exported for its test. */
export function lookUpWithPs(pid: number): ProcessFacts | undefined {
  const line = outputOf('ps', ['-o', 'stat=', '-o', 'pgid=', '-o', 'lstart=', '-p', String(pid)]);
  const [, state = '', pgid = '', startTime = ''] = /^\s*(\S+)\s+(\d+)\s+(.+)$/.exec(line) ?? [];
  return startTime === '' ? undefined : { startTime, pgid: Number(pgid), isZombie: state.startsWith('Z') };
}

/** Whether there is a process with this pid; which one it does not tell. */
export function pidExists(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errnoCode(error) === 'EPERM';
  }
}

/** Whether a process with this pid runs, whichever it is; a zombie does not, where that is told at little cost (Linux). */
export const pidRuns = (pid: number): boolean =>
  pidExists(pid) && !(process.platform === 'linux' && lookUp(pid)?.isZombie === true);

/** The first pid namespace of a Linux machine has this number. From there the processes of all others are seen. */
const FIRST_NAMESPACE = 'pid:[4026531836]';

/**
 * Whether a pid namespace of this boot is gone for good, and certainly so: none that has lost its processes gets new ones.
 *
 * @param seenFrom the namespace this process is in
 * @returns false also where that cannot be told from here
 */
export function namespaceIsGone(namespace: string, seenFrom = here.pid_namespace): boolean {
  // With hidepid those of other users are not seen.
  if (namespace === seenFrom || seenFrom !== FIRST_NAMESPACE || !existsSync('/proc/1/status')) return false;
  return readdirSync('/proc').every((name) => !/^\d+$/.test(name) || isOutside(Number(name), namespace));
}

/** Whether a process that was seen in /proc is in another pid namespace, or has ended. */
function isOutside(pid: number, namespace: string): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    if (/^State:\t[ZX]/m.test(status) && /^Threads:\t[01]$/m.test(status)) return true;
    if (/^NSpid:\t\d+$/m.test(status)) return true; // it is in this one, and so in no other
    return readlinkSync(`/proc/${pid}/ns/pid`) !== namespace;
  } catch (error) {
    if (!UNSEEN.has(errnoCode(error) ?? '')) throw error;
    return !pidExists(pid); // else it is another user's
  }
}

const ownNamespace = () => (process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : undefined);

const bootId = () =>
  process.platform === 'linux'
    ? readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    : outputOf('sysctl', ['-n', 'kern.bootsessionuuid']);

/**
 * The host's name and the beginning of its machine's id (machine-id(5) asks to keep the rest to oneself). Either alone may
 * be that of another machine: names are often left as they came, and ids are copied with the disk they are on.
 */
function ownHost(): string {
  const { hostname } = process.getBuiltinModule('node:os');
  return [hostname(), ...(/^[0-9a-f]{8}/i.exec(machineId()) ?? [])].join('.');
}

function machineId(): string {
  if (process.platform === 'darwin') return outputOf('sysctl', ['-n', 'kern.uuid']);
  try {
    return readFileSync('/etc/machine-id', 'latin1');
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return ''; // many a container has none
  }
}

/** What a program prints, trimmed; the same in every locale and time zone. */
function outputOf(program: string, args: string[]): string {
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
  const { spawnSync } = process.getBuiltinModule('node:child_process'); // loaded late: Linux never needs it
  const { error, stdout } = spawnSync(program, args, { encoding: 'latin1', env, stdio: ['ignore', 'pipe', 'ignore'] });
  if (error !== undefined) throw error;
  return stdout.trim();
}
