/** Ends whole process groups: a command together with everything it started. */
import { readdirSync } from 'node:fs';
import { monotonicMs } from '../../utils/clock.js';
import { delay } from '../../utils/delay.js';
import { errnoCode } from '../../utils/errors.js';
import { lookUp } from '../../utils/processIdentity.js';

const FIRST_WAIT_MS = 1;
const LONGEST_WAIT_MS = 50;

/**
 * Whether a process group has a member. Where it can be told (Linux), zombies do not count: an orphan stays one for
 * as long as a container's first process does not reap it.
 */
export function groupExists(pgid: number): boolean {
  const sent = signalGroup(pgid, 0);
  // Only Linux means by a refusal that somebody is there: macOS refuses to signal a group of zombies, too.
  if (sent !== 'sent') return sent === 'refused' && process.platform === 'linux';
  return process.platform !== 'linux' || hasLivingMember(pgid);
}

/**
 * Ends a process group: SIGTERM to all of it, SIGKILL to what is left after the grace period.
 *
 * @param graceMs milliseconds; with 0 it is SIGKILL at once
 * @returns when the group is gone, or when nobody is left in it whom this user may signal
 * @throws RangeError for a group that must never be signalled: this process's own, init's, or no group at all
 */
export async function endGroup(pgid: number, graceMs: number): Promise<void> {
  if (!Number.isSafeInteger(pgid) || pgid <= 1 || pgid === lookUp(process.pid)?.pgid) {
    throw new RangeError(`process group ${pgid} is not one to end`);
  }
  const deadline = monotonicMs() + graceMs;
  if (graceMs > 0) {
    signalGroup(pgid, 'SIGTERM');
    signalGroup(pgid, 'SIGCONT'); // what is stopped does not see the SIGTERM before it goes on
  }
  for (let waitMs = FIRST_WAIT_MS; groupExists(pgid); waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    const leftMs = deadline - monotonicMs();
    if (leftMs <= 0 && signalGroup(pgid, 'SIGKILL') === 'refused') return;
    await delay(leftMs > 0 ? Math.min(waitMs, leftMs) : waitMs);
  }
}

function signalGroup(pgid: number, signal: NodeJS.Signals | 0): 'sent' | 'gone' | 'refused' {
  try {
    process.kill(-pgid, signal);
    return 'sent';
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ESRCH') return 'gone';
    if (code === 'EPERM') return 'refused';
    throw error;
  }
}

function hasLivingMember(pgid: number): boolean {
  const leader = lookUp(pgid);
  if (leader?.pgid === pgid && !leader.isZombie) return true;
  const members = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => lookUp(Number(name)))
    .filter((facts) => facts?.pgid === pgid);
  // None to be seen, though the signal found one: it is hidden, or it has just ended, which the next look will tell.
  return members.length === 0 || members.some((facts) => facts?.isZombie === false);
}
