/**
 * Who lives. A process of this boot and pid namespace is looked at. Any other is judged by its signs of life, unless it is
 * certain that it ended with its boot: a wrong guess would have two attempts of a job run at once.
 */
import type { SignOfLife, WorkerRecord } from '../../db/model/worker.js';
import { monotonicMs } from '../../utils/clock.js';
import { currentIdentity, type Here, here, type Place, pidRuns, processRuns } from '../../utils/processIdentity.js';
import { randomHex } from '../../utils/random.js';

/** Who cannot be seen and was not heard of for so long is taken for dead. */
const SILENCE_MS = 60_000;
/** A worker that could give no sign of life for so long claims nothing more. */
const NO_CLAIM_MS = 30_000;
/** The commands of a worker that could give none have ended so long before it can be taken for dead. */
const MARGIN_MS = 5000;

/**
 * Where a process is, as seen from a place: `here`, so that its pid tells which it is; in another `container` (pid
 * namespace) of the same boot; on another `host`, or on one that is not known; or, for certain, `gone` with an earlier boot.
 */
export type Whereabouts = 'here' | 'container' | 'host' | 'gone';

export function whereabouts(record: Place, place: Here): Whereabouts {
  const { boot_id, host, pid_namespace } = record;
  // A boot is of one machine, whatever its containers are called.
  if (boot_id === place.boot_id)
    return (pid_namespace ?? place.pid_namespace) === place.pid_namespace ? 'here' : 'container';
  return host !== undefined && host === place.host ? 'gone' : 'host';
}

/**
 * Whether a process that cannot be looked at has fallen silent.
 *
 * @param where with its boot it shares a clock that stands still while the machine sleeps; with other hosts the time of day
 */
export function isSilent(
  { heard_of, started_at }: Pick<WorkerRecord, 'heard_of' | 'started_at'>,
  where: 'container' | 'host',
  now: SignOfLife,
): boolean {
  if (where === 'container') return Math.abs(now.monotonic - (heard_of?.monotonic ?? 0)) >= SILENCE_MS;
  return now.at - (heard_of?.at ?? started_at) >= SILENCE_MS;
}

/** What a worker may do after its last sign of life. */
export interface Leeway {
  readonly claims: boolean;
  /** Present when it must end its commands: how long they have between SIGTERM and SIGKILL, milliseconds. */
  readonly graceMs?: number;
}

/**
 * Who might be taken for dead ends its own commands first, so that nobody runs their jobs beside them. A long grace period
 * is cut short rather than begun before the worker has stopped claiming.
 *
 * @param silentMs since its last sign of life, by a clock that nobody sets
 * @param killGraceMs how long the commands should have between SIGTERM and SIGKILL
 */
export function leeway(silentMs: number, killGraceMs: number): Leeway {
  const leftMs = SILENCE_MS - MARGIN_MS - silentMs;
  const claims = silentMs < NO_CLAIM_MS;
  return claims || leftMs > killGraceMs ? { claims } : { claims, graceMs: Math.max(Math.min(killGraceMs, leftMs), 0) };
}

/** Whether the process of a record still runs, as far as can be told from here. */
export function isAlive(record: WorkerRecord): boolean {
  const where = whereabouts(record, here);
  if (where === 'gone') return false;
  if (where === 'here') return processRuns(record);
  return !isSilent(record, where, { at: Date.now(), monotonic: monotonicMs() });
}

/** The record of this process. Its id begins with the pid, which tells something of it even when the record cannot be read. */
export function newRecord(role: WorkerRecord['role'], supervisorId: string | null, now: number): WorkerRecord {
  const identity = currentIdentity();
  const id = `${identity.pid}-${randomHex(8)}`;
  return { ...identity, id, role, started_at: now, supervisor_id: supervisorId };
}

/** Whether the process of a record that cannot be read may live. */
export const mayLive = ({ id }: { readonly id: string }): boolean => pidRuns(Number.parseInt(id, 10));
