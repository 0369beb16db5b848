/**
 * Tells a process from a later one with the same pid: by its start time, and by the boot in which it started.
 *
 * All of it is synchronous. On Linux a look costs some 10 µs (/proc); elsewhere it runs `ps`, some milliseconds.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { monotonicMs } from './clock.js';
import { errnoCode } from './errors.js';

export interface ProcessIdentity {
  readonly pid: number;
  /** As the operating system tells it: clock ticks since the boot on Linux, a date elsewhere. */
  readonly start_time: string;
  readonly boot_id: string;
  /** Where its pid holds: a container has a namespace of its own (pid_namespaces(7)). Absent where there are none. */
  readonly pid_namespace?: string;
}

/** What the operating system tells of a process. */
export interface ProcessFacts {
  readonly startTime: string;
  /** The process group it is in. */
  readonly pgid: number;
  /** It has ended and only waits for its parent to notice. */
  readonly isZombie: boolean;
}

/** This process. */
export function currentIdentity(): ProcessIdentity {
  const start_time = startTimeOf(process.pid);
  if (start_time === undefined) throw new Error('the operating system does not tell when this process started');
  const pid_namespace = ownNamespace();
  return { pid: process.pid, start_time, boot_id: bootId(), ...(pid_namespace === undefined ? {} : { pid_namespace }) };
}

/** Who is in another namespace and was not heard of for so long, while this machine was awake, is taken for dead. */
const SILENCE_MS = 60_000;

/**
 * Whether this very process still runs; a zombie does not.
 *
 * @param identity.heard_of_at when it last gave a sign of life, in monotonic milliseconds; all there is to judge by if it
 *   is elsewhere
 */
export function isAlive(identity: ProcessIdentity & { readonly heard_of_at?: number }): boolean {
  if (isElsewhere(identity)) return Math.abs(monotonicMs() - (identity.heard_of_at ?? 0)) < SILENCE_MS;
  if (identity.boot_id !== bootId() || !pidExists(identity.pid)) return false;
  const facts = lookUp(identity.pid);
  // What cannot be looked at (another user's process, on a system that hides those) is taken for what it claims to be.
  if (facts === undefined) return pidExists(identity.pid);
  return !facts.isZombie && facts.startTime === identity.start_time;
}

/** Whether it is, or was, in another pid namespace of this machine, so that its pid means nothing here. */
export function isElsewhere({ boot_id, pid_namespace }: ProcessIdentity): boolean {
  return pid_namespace !== undefined && pid_namespace !== ownNamespace() && boot_id === bootId();
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

let knownNamespace: string | undefined;

function ownNamespace(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  knownNamespace ??= readlinkSync('/proc/self/ns/pid');
  return knownNamespace;
}

let knownBootId: string | undefined;

function bootId(): string {
  knownBootId ??=
    process.platform === 'linux'
      ? readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
      : outputOf('sysctl', ['-n', 'kern.bootsessionuuid']);
  return knownBootId;
}

/** What a program prints, trimmed; the same in every locale and time zone. */
function outputOf(program: string, args: string[]): string {
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
  const { spawnSync } = process.getBuiltinModule('node:child_process'); // loaded late: Linux never needs it
  const { error, stdout } = spawnSync(program, args, { encoding: 'latin1', env, stdio: ['ignore', 'pipe', 'ignore'] });
  if (error !== undefined) throw error;
  return stdout.trim();
}
