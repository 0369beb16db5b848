/**
 * What a kind of store must do: keep records, tell which are there, and write some of them all or not at all.
 *
 * A store knows no rule. What a record is to become is decided above it, by the pure functions in `db/model`; a write
 * only says which version of the record that was thought out on, and is refused where another is there by now. The
 * contract in test/db/contract is run on every store.
 */
import type { QueuectlError } from '../utils/errors.js';
import type { Job, JobState, WaitingJob } from './model/job.js';
import type { WorkerRecord } from './model/worker.js';

/** Every kind of record. A new feature adds a row here, and no verb below. */
export interface Tables {
  jobs: Job;
}
export type Table = keyof Tables;

/** A record as a read has given it. */
export interface Stored<R> {
  readonly record: R;
  /**
   * The number of the change that wrote it: higher than that of every change before. A store that does not keep it with
   * the record tells a number that is no lower.
   */
  readonly seq: number;
}

export interface JobQuery {
  /** Absent: every state. */
  readonly states?: readonly JobState[];
  /** The oldest first, which is the default; or those first whose last change is longest ago. */
  readonly order?: 'created' | 'changed';
  readonly limit?: number;
}

export interface Reader {
  get<T extends Table>(table: T, id: string): Promise<Stored<Tables[T]> | undefined>;
  jobs(query: JobQuery): Promise<Stored<Job>[]>;
  /** How many jobs there are in each state; a state without any may be absent. */
  count(): Promise<ReadonlyMap<JobState, number>>;
  /** The jobs to claim next: due, the highest priority first, then the oldest. A store with row locks locks them. */
  runnable(turn: { readonly now: number; readonly limit: number }): Promise<Stored<WaitingJob>[]>;
  /**
   * The earliest `run_at` among the jobs that wait, or undefined when none waits. When that is past, it may as well be
   * another that was due at the last claim.
   */
  nextRunAt(): Promise<number | undefined>;
}

/** Compare and set. */
export interface Write<R> {
  readonly id: string;
  /** What it is to replace, as a read of this store has given it; null: there must be none. */
  readonly before: Stored<R> | null;
  /** Null: it goes. */
  readonly after: R | null;
  /** The id was made just now, so that nobody can have it: a store need not look for it. */
  readonly isNew?: boolean;
}

export interface Transaction extends Reader {
  /** Writes all, or none. @returns the ids of the records that are not as they were; empty when all was written */
  write<T extends Table>(table: T, writes: readonly Write<Tables[T]>[]): Promise<readonly string[]>;
}

/** `on disk`: it outlives a power cut once it is acknowledged; `soon`: it outlives every process from then on. */
export type Durability = 'on disk' | 'soon';

/** What was set, by name, whether this version knows it or not. */
export type SettingValues = Readonly<Record<string, unknown>>;

export interface SettingsTable {
  /** Where they are, as it stands in an error. */
  readonly place: string;
  /**
   * What was set; for the rest the defaults hold.
   *
   * @returns the same object as long as nothing has changed
   * @throws QueuectlError DAMAGED
   */
  read(): Promise<SettingValues>;
  /** Replaces them while nobody else does, on disk before it returns. */
  replace(next: (values: SettingValues) => SettingValues): Promise<void>;
}

/** The record of a process that cannot be read. */
export interface UnreadableRecord {
  readonly id: string;
  readonly fault: QueuectlError;
  /** Where it is, if it is a file. */
  readonly path?: string;
}

export interface WorkerRecords {
  readonly records: readonly WorkerRecord[];
  readonly unreadable: readonly UnreadableRecord[];
}

/** Who works on the store: records of processes, living or not. */
export interface WorkerTable {
  /** Puts a process on record; that is its first sign of life. */
  register(record: WorkerRecord): Promise<void>;
  /** Takes a process off the record, if it is there. */
  unregister(id: string): Promise<void>;
  /** Gives a sign of life, for those who cannot see the process. Does nothing when it is not on record. */
  heartbeat(id: string): Promise<void>;
  /** Every record, each with its last sign of life. */
  list(): Promise<WorkerRecords>;
}

/** What was found about one part of a store. */
export type Check = {
  /** What was looked at: `queue.json`, `lock` … */
  readonly name: string;
  readonly fact: string;
  /** Mends it, or tidies up where nothing is wrong, and keeps a copy of what it replaces. @returns what was done */
  readonly repair?: () => Promise<string>;
} & ({ readonly state: 'ok' } | { readonly state: 'wrong'; readonly remedy: string });

/**
 * What the process is that opens a store: a worker keeps the store tidy, and what it knows of it; a supervisor neither. An
 * onlooker leaves all as it was.
 */
export type Role = 'command' | 'worker' | 'supervisor' | 'onlooker';

export interface StoreOptions {
  readonly role: Role;
  /** Told what kept the store from being tidied; nothing acknowledged is lost by it. */
  readonly onWarning: (warning: QueuectlError) => void;
  /** Whether a worker on record lives, so that tidying can be left to it. */
  readonly isAlive: (worker: WorkerRecord) => boolean;
  /** The machine's, unless it is given. */
  readonly clock?: () => number;
}

export interface Store {
  /**
   * Keeps all that `work` writes or, when it throws, nothing.
   *
   * @param work may be run again from its beginning, so it must do nothing but call verbs and think
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>, durability: Durability): Promise<T>;
  /** Reads several things as they are at one moment. Takes no lock. */
  read<T>(work: (reader: Reader) => Promise<T>): Promise<T>;
  readonly settings: SettingsTable;
  readonly workers: WorkerTable;
  /** Calls back soon after anybody changed the queue. @returns a function that ends it */
  subscribe(onNews: () => void): () => void;
  /** The time that all who use the store go by; integer milliseconds since the epoch. */
  clock(): number;
  /** Looks at all that the store consists of. Changes nothing but by a repair; each check sees the repairs before it. */
  check(): AsyncIterable<Check>;
  /** Ends the use of the store, and leaves it tidy if nobody else is there to do that. */
  close(): Promise<void>;
}
