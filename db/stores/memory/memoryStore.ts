/** A store that lives in one process: for tests, and to tell what every other kind must be indistinguishable from. */
import { systemClock } from '../../../utils/clock.js';
import { Mutex } from '../../../utils/mutex.js';
import type { Job, JobState, WaitingJob } from '../../model/job.js';
import type { WorkerRecord } from '../../model/worker.js';
import type {
  Check,
  JobQuery,
  Reader,
  SettingsTable,
  SettingValues,
  Store,
  Stored,
  Table,
  Tables,
  Transaction,
  WorkerTable,
  Write,
} from '../../store.js';
import { Records } from '../records.js';

/** What the handles on one store share. */
export class Memory {
  readonly records = new Records();
  readonly workers = new Map<string, WorkerRecord>();
  readonly subscribers = new Set<() => void>();
  readonly turns = new Mutex();
  settings: SettingValues = {};
  seq = 0;
}

class MemoryTransaction implements Transaction {
  private readonly before: (readonly [id: string, stored: Stored<Job> | undefined])[] = [];

  constructor(private readonly memory: Memory) {}

  async get<T extends Table>(_table: T, id: string): Promise<Stored<Tables[T]> | undefined> {
    return this.memory.records.get(id);
  }

  async jobs(query: JobQuery): Promise<Stored<Job>[]> {
    return this.memory.records.find(query);
  }

  async count(): Promise<ReadonlyMap<JobState, number>> {
    return this.memory.records.counts();
  }

  async runnable({ now, limit }: { now: number; limit: number }): Promise<Stored<WaitingJob>[]> {
    return this.memory.records.runnable(now, limit);
  }

  async nextRunAt(): Promise<number | undefined> {
    return this.memory.records.nextRunAt();
  }

  async write<T extends Table>(_table: T, writes: readonly Write<Tables[T]>[]): Promise<readonly string[]> {
    const { memory } = this;
    const seen = new Set<string>();
    const stale = writes.filter(({ id, before }) => {
      const isStale = seen.has(id) || memory.records.get(id)?.seq !== before?.seq;
      seen.add(id);
      return isStale;
    });
    if (stale.length > 0) return stale.map(({ id }) => id);
    for (const { id, after } of writes) {
      this.before.push([id, memory.records.get(id)]);
      memory.seq += 1;
      if (after === null) memory.records.remove(id);
      else memory.records.put(after, memory.seq);
    }
    return [];
  }

  get hasWritten(): boolean {
    return this.before.length > 0;
  }

  rollBack(): void {
    for (const [id, stored] of this.before.reverse()) this.memory.records.restore(id, stored);
  }
}

export class MemoryStore implements Store {
  readonly settings: SettingsTable;
  readonly workers: WorkerTable;

  constructor(
    private readonly memory = new Memory(),
    readonly clock = systemClock,
  ) {
    this.settings = {
      place: 'the settings',
      read: async () => memory.settings,
      replace: async (next) => {
        memory.settings = next(memory.settings);
      },
    };
    this.workers = {
      register: async (record) => void memory.workers.set(record.id, record),
      unregister: async (id) => void memory.workers.delete(id),
      heartbeat: async () => {}, // who uses it is this very process
      list: async () => ({ records: [...memory.workers.values()], unreadable: [] }),
    };
  }

  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const { turns, subscribers } = this.memory;
    return turns.run(async () => {
      const transaction = new MemoryTransaction(this.memory);
      try {
        const result = await work(transaction);
        if (transaction.hasWritten) for (const onNews of subscribers) queueMicrotask(onNews);
        return result;
      } catch (error) {
        transaction.rollBack();
        throw error;
      }
    });
  }

  read<T>(work: (reader: Reader) => Promise<T>): Promise<T> {
    return this.memory.turns.run(() => work(new MemoryTransaction(this.memory)));
  }

  subscribe(onNews: () => void): () => void {
    this.memory.subscribers.add(onNews);
    return () => this.memory.subscribers.delete(onNews);
  }

  async *check(): AsyncGenerator<Check> {
    yield { name: 'memory', state: 'ok', fact: 'it is there as long as this process' };
  }

  async close(): Promise<void> {}
}
