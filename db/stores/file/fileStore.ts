/**
 * The store in files: queue.json, dlq.json, config.json and a journal.
 *
 * Promise: a transaction is one line of the journal, so it happens whole or not at all, and costs the same however long
 * the queue is. At rest the journal is empty and the snapshot is the whole truth.
 *
 * How: under the lock, catch up with the journal → decide → append one line → see that it landed where it was expected.
 * The lock keeps order; correctness rests on the numbers in the journal, so a process that lost the lock while it was
 * stopped does no harm when it wakes: its line is void, and it starts over.
 */
import fs from 'node:fs';
import { type Clock, systemClock } from '../../../utils/clock.js';
import { errnoCode, QueuectlError, storageError } from '../../../utils/errors.js';
import { identityOf, makeDirectory, removeTempFiles, syncDirectory } from '../../../utils/files.js';
import { type HeldLock, LockLostError, lock } from '../../../utils/lock.js';
import { Mutex } from '../../../utils/mutex.js';
import { isAlive } from '../../../utils/processIdentity.js';
import { DEFAULT_CONFIG } from '../../model/settings.js';
import type { Access } from '../../repositories/access.js';
import { configContent, FileConfigRepo } from '../../repositories/configRepo.js';
import { FileDlqRepo } from '../../repositories/dlqRepo.js';
import { FileJobRepo } from '../../repositories/jobRepo.js';
import { FileWorkerRepo } from '../../repositories/workerRepo.js';
import type { Check, Repositories, Store } from '../../store.js';
import { Draft } from './draft.js';
import { Journal } from './journal.js';
import { logFileName } from './logFileName.js';
import { replacedFiles, type StorePaths, storePaths } from './paths.js';
import type { QueueState } from './queueState.js';
import { checkTrust } from './trust.js';
import { SnapshotGoneError, View } from './view.js';

const idsOf = (state: QueueState) => [...state.listJobs(), ...state.listDead()].map(({ id }) => id);

/** The snapshot lags by at most this, or by so many times what a fold costs, whichever is longer. */
const LAG_MS = 1000;
const LAG_FOLDS = 10;
const LAZILY = true;
/** Once is a process that was stopped; so often is a file system that does not keep times, or a section that takes too long. */
const LOSSES_MAX = 5;

/** Loaded when a file is to be written: `status` and `list` start sooner without it. */
const foldModule = () => import('./fold.js');

export interface FileStoreOptions {
  readonly clock?: Clock;
  /**
   * When what was committed gets into the snapshot. `in time` is for workers, who see to it that the snapshot does not lag.
   * Others leave that to them; where there is none they fold `at close`, or `at once` if they add jobs once and leave.
   */
  readonly folds?: 'in time' | 'at close' | 'at once';
}

export class FileStore implements Store {
  readonly jobs: FileJobRepo;
  readonly dlq: FileDlqRepo;
  readonly config: FileConfigRepo;
  readonly workers: FileWorkerRepo;

  private readonly paths: StorePaths;
  private readonly clock: Clock;
  private readonly folds: NonNullable<FileStoreOptions['folds']>;
  /** Asked for workers only. */
  private readonly wasThere: boolean;
  private readonly turns = new Mutex();
  private view: View | undefined;
  private foldTimer: NodeJS.Timeout | undefined;
  /** What kept the last fold from happening; the journal has it all, so nothing is lost. */
  private foldFailure: QueuectlError | undefined;
  private closed = false;

  /** @param dataDir an absolute path; it is made when something is written to it for the first time */
  constructor(dataDir: string, { clock = systemClock, folds = 'at close' }: FileStoreOptions = {}) {
    this.paths = storePaths(dataDir);
    this.clock = clock;
    this.folds = folds;
    this.wasThere = folds === 'in time' && fs.existsSync(dataDir);
    const access: Access = {
      read: (look) => this.turns.run(async () => look(this.currentState())),
      write: (change) => this.inTransaction(async (draft) => change(draft)),
    };
    this.jobs = new FileJobRepo(access);
    this.dlq = new FileDlqRepo(access);
    this.config = new FileConfigRepo(this.paths.config, (next) => this.replaceConfig(next));
    this.workers = new FileWorkerRepo(this.paths.workers);
  }

  transaction<T>(work: (repositories: Repositories) => Promise<T>): Promise<T> {
    return this.inTransaction((draft) => {
      const joined: Access = { read: async (look) => look(draft.state), write: async (change) => change(draft) };
      return work({ jobs: new FileJobRepo(joined), dlq: new FileDlqRepo(joined) });
    });
  }

  look<T>(work: (repositories: Repositories) => Promise<T>): Promise<T> {
    return this.turns.run(async () => {
      const state = this.currentState();
      const joined: Access = {
        read: async (look) => look(state),
        write: () => Promise.reject(new Error('a look changes nothing')),
      };
      return work({ jobs: new FileJobRepo(joined), dlq: new FileDlqRepo(joined) });
    });
  }

  private inTransaction<T>(work: (draft: Draft) => Promise<T>): Promise<T> {
    return this.underLock(async (held) => {
      let view = this.refreshedView(LAZILY);
      if (view.mustFoldFirst) {
        const { fold, replaceFile } = await foldModule();
        // so that config.json can be read like the other files from the start
        const { config } = this.paths;
        if (identityOf(config) === null) replaceFile(config, configContent(DEFAULT_CONFIG), this.paths, held);
        fold(view, this.paths, held, this.clock());
        this.dropView(); // it had to parse the records, which this transaction may not need
        view = this.refreshedView(LAZILY);
      }
      held.renew(); // what others have enqueued may have taken seconds to read
      const draft = new Draft(view);
      const result = await work(draft);
      if (draft.isEmpty) return result;
      held.renew(); // and so may what this one enqueues
      if (this.folds === 'at once' && draft.onlyAdds && (await this.isAtRest(view))) {
        await this.foldIn(draft, view, held);
        return result;
      }
      const commit = draft.commit();
      if (commit === 'void') throw new LockLostError();
      if (commit === 'done, view outdated') this.dropView();
      else if (this.folds === 'in time') await this.foldIfDue(view, held);
      return result;
    });
  }

  /** Whether this process has the store to itself, and nothing in the journal. */
  private async isAtRest(view: View): Promise<boolean> {
    if (view.needsFold) return false;
    try {
      return !(await this.workers.listRecords()).some(isAlive);
    } catch (error) {
      if (!(error instanceof QueuectlError)) throw error;
      return false; // it cannot be told; a line in the journal is right in any case
    }
  }

  /**
   * Commits added jobs by a fold, without a line in the journal that the same process would have to fold next.
   *
   * The renaming of queue.json is what commits them: a crash before it leaves a sealed journal that knows nothing of them,
   * a crash after it a snapshot that has them.
   */
  private async foldIn(draft: Draft, view: View, held: HeldLock): Promise<void> {
    const { fold } = await foldModule();
    let isCommitted = false;
    draft.noteAdded();
    try {
      fold(view, this.paths, held, this.clock(), () => {
        isCommitted = true;
      });
    } catch (error) {
      if (!isCommitted) throw error;
      this.dropView(); // whoever comes next finishes the fold
      try {
        syncDirectory(this.paths.dir);
      } catch (syncError) {
        throw storageError(syncError, `write ${this.paths.queue}`);
      }
    }
  }

  /** Runs a section under the lock, over again if it turns out to have lost the lock. */
  private underLock<T>(section: (held: HeldLock) => Promise<T>): Promise<T> {
    return this.turns.run(async () => {
      for (let losses = 0; ; losses++) {
        if (losses === LOSSES_MAX) throw this.lostTooOften();
        const held = await this.lock();
        try {
          removeTempFiles(replacedFiles(this.paths));
          return await section(held);
        } catch (error) {
          this.dropView(); // it may hold what was never committed
          if (!(error instanceof LockLostError || error instanceof SnapshotGoneError)) throw error;
        } finally {
          held.unlock();
        }
      }
    });
  }

  private lostTooOften(): QueuectlError {
    const fact = `the lock of ${this.paths.dir} was lost ${LOSSES_MAX} times in a row`;
    return new QueuectlError('BUSY', fact, 'Nothing was changed. Enqueue less at once, or use another file system.');
  }

  private async lock(): Promise<HeldLock> {
    const { lock: path, dir } = this.paths;
    try {
      try {
        return await lock(path);
      } catch (error) {
        if (errnoCode(error) !== 'ENOENT' || this.wasRemoved()) throw error;
        this.makeDirectories(); // the first use of a store
        return await lock(path);
      }
    } catch (error) {
      throw storageError(error, `lock ${dir}`);
    }
  }

  /** A worker, which is on record in the store, must not bring back one that was removed. */
  private wasRemoved(): boolean {
    return this.wasThere && !fs.existsSync(this.paths.dir);
  }

  private makeDirectories(): void {
    const { dir, lockDir } = this.paths;
    try {
      for (const path of [dir, lockDir]) makeDirectory(path);
      checkTrust(dir); // somebody else may have made it a moment before
    } catch (error) {
      throw storageError(error, `make ${dir}`);
    }
  }

  private currentState(): QueueState {
    try {
      return this.refreshedView().state;
    } catch (error) {
      if (!(error instanceof SnapshotGoneError)) throw error;
      this.dropView();
      return this.refreshedView().state;
    }
  }

  /** @param lazily leaves the snapshot unread until it is needed */
  private refreshedView(lazily = false): View {
    const { view } = this;
    this.view = undefined; // if this throws, what it held is not to be used again
    try {
      this.view = view === undefined ? View.open(this.paths, lazily) : view.refresh();
    } catch (error) {
      view?.close();
      throw error;
    }
    if (this.folds === 'in time' && this.view.needsFold) this.foldLater(this.view);
    return this.view;
  }

  private dropView(): void {
    this.view?.close();
    this.view = undefined;
  }

  /** Milliseconds until the next fold is due. */
  private foldDueIn(view: View, lagMs: number): number {
    if (view.journal === null) return 0;
    const { folded_at, fold_ms } = view.journal.header;
    const age = this.clock() - folded_at;
    if (age < 0) return 0; // the clock was set back
    return Math.max(lagMs, LAG_FOLDS * fold_ms) - age;
  }

  private async foldIfDue(view: View, held: HeldLock, lagMs = LAG_MS): Promise<void> {
    if (!view.needsFold || this.foldDueIn(view, lagMs) > 0) return;
    const { fold } = await foldModule();
    try {
      held.renew(); // what was committed must not be done over if the lock is lost
      fold(view, this.paths, held, this.clock());
      this.foldFailure = undefined;
    } catch (error) {
      this.dropView();
      if (error instanceof LockLostError) return; // the new holder sees to it
      if (!(error instanceof QueuectlError)) throw error;
      this.foldFailure = error; // what was committed stays committed
    }
  }

  private foldLater(view: View): void {
    if (this.foldTimer !== undefined || this.closed) return;
    const waitMs = this.foldFailure === undefined ? this.foldDueIn(view, LAG_MS) : LAG_MS;
    this.foldTimer = setTimeout(
      () => {
        this.foldTimer = undefined;
        this.foldNow(LAG_MS).catch((error: unknown) => {
          if (!(error instanceof QueuectlError)) throw error;
          this.foldFailure = error;
        });
      },
      Math.max(waitMs, 10),
    );
    this.foldTimer.unref();
  }

  private foldNow(lagMs: number): Promise<void> {
    return this.underLock(async (held) => {
      await this.foldIfDue(this.refreshedView(), held, lagMs);
    });
  }

  async *checkFiles(): AsyncGenerator<Check> {
    const { checkFiles } = await import('./checkup.js');
    yield* checkFiles({
      paths: this.paths,
      clock: this.clock,
      workers: this.workers,
      underLock: (section) => this.underLock(section),
      ids: () => this.turns.run(async () => idsOf(this.currentState())),
    });
  }

  async idle(): Promise<void> {
    const { view } = this;
    if (view?.needsFold && this.foldDueIn(view, 0) <= 0) await this.foldNow(0);
    if (this.folds !== 'in time') await this.turns.run(async () => this.dropView());
  }

  private replaceConfig(next: () => Buffer): Promise<void> {
    return this.underLock(async (held) => {
      const { replaceFile } = await foldModule();
      replaceFile(this.paths.config, next(), this.paths, held);
    });
  }

  async logFile(jobId: string): Promise<string> {
    try {
      makeDirectory(this.paths.logs);
    } catch (error) {
      throw storageError(error, `make ${this.paths.logs}`);
    }
    return `${this.paths.logs}/${logFileName(jobId)}`;
  }

  watch(onChange: () => void): () => void {
    if (!this.wasRemoved()) this.makeDirectories();
    let watcher: fs.FSWatcher;
    try {
      watcher = fs.watch(this.paths.dir, (_event, name) => {
        if (name === null || `${this.paths.dir}/${name}` === this.paths.journal) onChange();
      });
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
      return () => {}; // the system has no watch left: changes are still seen, after worker_idle_delay
    }
    watcher.on('error', () => watcher.close()); // the same
    return () => watcher.close();
  }

  async close(): Promise<QueuectlError | undefined> {
    if (this.closed) return undefined;
    this.closed = true;
    clearTimeout(this.foldTimer);
    try {
      if (await this.leavesTidyingToMe()) {
        this.foldFailure = undefined;
        await this.underLock(async (held) => {
          const view = this.refreshedView();
          if (!view.needsFold) return;
          const { fold } = await foldModule();
          fold(view, this.paths, held, this.clock());
        });
      }
    } catch (error) {
      if (!(error instanceof QueuectlError)) throw error;
      this.foldFailure = error;
    } finally {
      this.dropView();
    }
    return this.foldFailure;
  }

  private async leavesTidyingToMe(): Promise<boolean> {
    const journal = Journal.open(this.paths.journal); // by itself: a long snapshot takes its time to read
    if (journal === null) return false;
    try {
      journal.readNews(() => {});
    } finally {
      journal.close();
    }
    if (journal.commits === 0 && !journal.sealed) {
      this.foldFailure = undefined; // somebody else has folded since
      return false;
    }
    return !(await this.workers.listRecords()).some(isAlive);
  }
}
