/** What the processes of queuectl tell each other: tasks on the command line, as JSON, and messages over the channel. */
import type { StoreAddress } from '../../db/index.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import type { SettledAs } from '../queue/turn.js';

/** What a supervisor process is told. */
export interface SupervisorTask {
  readonly address: StoreAddress;
  readonly count: number;
  readonly concurrency: number;
}

/** What a supervisor process tells the one that started it. */
export type SupervisorMessage =
  | { readonly kind: 'started'; readonly supervisorPid: number; readonly pids: number[] }
  | ProcessError;

/** What a worker process is told. */
export interface WorkerTask {
  readonly address: StoreAddress;
  readonly supervisorId: string;
  readonly concurrency: number;
  /** Whether it reports the start and end of each job. */
  readonly reports: boolean;
}

/** What a supervisor tells a worker process that runs: to end its jobs and give them back. */
export interface WorkerOrder {
  readonly kind: 'stop now';
}

/** What a worker process tells its supervisor. */
export type WorkerMessage = { readonly kind: 'ready' } | ProcessError | JobEvent;

/** Why a forked process could not start, or go on, as a QueuectlError has it. */
export interface ProcessError {
  readonly kind: 'failed';
  readonly fact: string;
  readonly remedy: string;
}

export type JobEvent =
  | { readonly kind: 'job started'; readonly id: string; readonly attempt: number }
  | { readonly kind: 'job ended'; readonly id: string; readonly as: SettledAs; readonly error?: string };

/** What a supervisor tells of its workers. */
export type WorkerEvent =
  | { readonly kind: 'worker started'; readonly index: number; readonly pid: number }
  | { readonly kind: 'worker ended'; readonly pid: number; readonly how: string }
  | { readonly kind: 'stopping'; readonly again: boolean }
  | JobEvent;

/** What a supervisor has told in its record of workers that it could not start again; a fact in words, or nothing. */
export function describeMissing({ pid, missing }: WorkerRecord): string[] {
  if (missing === undefined) return [];
  const workers = missing.count === 1 ? 'a worker' : `${missing.count} workers`;
  return [`${workers} of supervisor ${pid} could not be started again: ${missing.reason}`];
}
