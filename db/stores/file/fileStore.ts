/**
 * The store in files: queue.json, dlq.json, config.json and a journal.
 *
 * Promise: a transaction is one line of the journal, so it happens whole or not at all, and costs the same however long
 * the queue is. At rest the journal is empty and the snapshot is the whole truth; there, jobs may be added by one rename.
 *
 * How: under the lock, catch up with the journal → decide → append one line → see that it landed where it was expected.
 * The lock keeps order; correctness rests on the numbers in the journal, so a process that lost the lock while it was
 * stopped does no harm when it wakes: its line is void, and it starts over.
 */
import fs from 'node:fs';
import { type Clock, monotonicMs, systemClock } from '../../../utils/clock.js';
import { errnoCode, QueuectlError, refusalOf, storageError } from '../../../utils/errors.js';
import { identityOf, makeDirectory, removeTempFiles, syncDirectory } from '../../../utils/files.js';
import { type HeldLock, LockLostError, lock } from '../../../utils/lock.js';
import { Mutex } from '../../../utils/mutex.js';
import { DEFAULT_CONFIG } from '../../model/settings.js';
import type { Check, Durability, Reader, Store, StoreOptions, Transaction } from '../../store.js';
import { checkTrust } from '../trust.js';
import { Draft, RecordReader } from './draft.js';
import { Journal } from './journal.js';
import { replacedFiles, type StorePaths, storePaths, trustedParts } from './paths.js';
import { SettingsFile, settingsContent } from './settingsFile.js';
import { SnapshotGoneError } from './snapshot.js';
import { View } from './view.js';
import { WorkerFiles } from './workerFiles.js';

/** While commits go on, the snapshot lags by at most this, or by so many times what a fold costs, if that is longer … */
const LAG_MS = 1000;
const LAG_FOLDS = 10;
/** … and once there is none, by at most this. */
const QUIET_LAG_MS = 200;
const LAZILY = true;
/** Once is a process that was stopped; so often is a file system that does not keep times, or a section that takes too long. */
const LOSSES_MAX = 5;

/** Loaded when a file is to be written: `status` and `list` start sooner without it. */
const foldModule = () => import('./fold.js');

export class FileStore implements Store {
  readonly settings: SettingsFile;
  readonly workers: WorkerFiles;
  readonly clock: Clock;

  private readonly paths: StorePaths;
  /** Whether it sees to it that the snapshot does not lag. Others leave that to workers; where none is, they fold when they close. */
  private readonly isWorker: boolean;
  /** Asked for workers only. */
  private readonly wasThere: boolean;
  private readonly turns = new Mutex();
  private view: View | undefined;
  private foldTimer: NodeJS.Timeout | undefined;
  private lookTimer: NodeJS.Timeout | undefined;
  /** How many are told here when somebody commits. */
  private watchers = 0;
  /** When this process committed last, by its monotonic clock. */
  private committedAt = 0;
  /** Whether it has committed anything. */
  private hasCommitted = false;
  /** What kept the last fold from happening; the journal has it all, so nothing is lost. */
  private foldError: QueuectlError | undefined;
  private closed = false;

  /** @param dataDir an absolute path; it is made when something is written to it for the first time */
  constructor(
    dataDir: string,
    private readonly options: StoreOptions,
  ) {
    this.paths = storePaths(dataDir);
    this.clock = options.clock ?? systemClock;
    this.isWorker = options.role === 'worker';
    this.wasThere = this.isWorker && fs.existsSync(dataDir);
    this.settings = new SettingsFile(this.paths.config, (next) => this.replaceConfig(next));
    this.workers = new WorkerFiles(this.paths.workers);
  }

  transaction<T>(work: (transaction: Transaction) => Promise<T>, durability: Durability): Promise<T> {
    return this.underLock(async (held) => {
      let view = this.refreshedView(LAZILY);
      if (view.mustFoldFirst) {
        const { fold, replaceFile } = await foldModule();
        // so that config.json can be read like the other files from the start
        const { config } = this.paths;
        if (identityOf(config) === null) replaceFile(config, settingsContent({ ...DEFAULT_CONFIG }), this.paths, held);
        fold(view, this.paths, held, this.clock());
        this.dropView(); // it had to parse the records, which this transaction may not need
        view = this.refreshedView(LAZILY);
      }
      held.renew(); // what others have enqueued may have taken seconds to read
      const draft = new Draft(view, () => held.renew());
      const result = await work(draft);
      if (draft.isEmpty) return result;
      held.renew(); // and so may what this one enqueues
      if (this.options.role === 'command' && !(await this.leavesFoldsToWorkers())) {
        if (draft.onlyAdds && !view.needsFold && !this.hasCommitted) {
          await this.commitByFold(draft, view, held);
          return result;
        }
        view.readSnapshot(() => held.renew()); // who is to fold what it commits must be able to: if it cannot be read, that is told before
      }
      const commit = draft.commit(durability === 'on disk');
      if (commit === 'void') throw new LockLostError();
      this.hasCommitted = true;
      if (commit === 'done, view outdated') this.dropView();
      if (this.isWorker) {
        this.committedAt = monotonicMs();
        this.foldLater(view);
        this.lookLater();
      }
      return result;
    });
  }

  /**
   * Commits added jobs at rest, without a line in the journal that the same process would have to fold when it closes.
   *
   * The renaming of queue.json is what commits them: a crash before it leaves a sealed journal that knows nothing of them,
   * a crash after it a snapshot that has them. It costs as much as the queue is long, so a process does it once: one that
   * commits again stays, and appends.
   */
  private async commitByFold(draft: Draft, view: View, held: HeldLock): Promise<void> {
    const { fold } = await foldModule();
    draft.tellViewOfAdded();
    try {
      fold(view, this.paths, held, this.clock(), () => {
        this.hasCommitted = true;
      });
    } catch (error) {
      if (!this.hasCommitted) throw error;
      this.syncDirectory(); // whoever comes next finishes the fold
    } finally {
      this.dropView(); // its journal is over
    }
  }

  /** @throws QueuectlError STORAGE */
  private syncDirectory(): void {
    const { dir } = this.paths;
    try {
      syncDirectory(dir);
    } catch (error) {
      throw storageError(error, `write ${dir}`);
    }
  }

  read<T>(work: (reader: Reader) => Promise<T>): Promise<T> {
    return this.turns.run(async () => {
      const result = await work(new RecordReader(this.currentView()));
      if (this.options.role === 'supervisor') this.dropView(); // it may never need the records again
      return result;
    });
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
    return new QueuectlError(
      'BUSY',
      fact,
      'Nothing was changed. Try again when less goes on, or use another file system.',
    );
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
      checkTrust(dir, trustedParts(this.paths)); // somebody else may have made it a moment before
    } catch (error) {
      throw storageError(error, `make ${dir}`);
    }
  }

  private currentView(): View {
    try {
      return this.loadedView();
    } catch (error) {
      if (!(error instanceof SnapshotGoneError)) throw error;
      this.dropView();
      return this.loadedView();
    }
  }

  private loadedView(): View {
    const view = this.refreshedView();
    view.records; // read now, while what it names is surely there
    return view;
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
    if (this.isWorker && this.view.needsFold) this.foldLater(this.view);
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

  /**
   * Folds once it is due: between two transactions, so that what a worker has claimed is started first. While commits come it
   * is put off, within limits.
   */
  private foldLater(view: View): void {
    if (this.foldTimer !== undefined || this.closed) return;
    const quietInMs = this.committedAt + QUIET_LAG_MS - monotonicMs();
    const dueInMs = Math.min(Math.max(quietInMs, this.foldDueIn(view, QUIET_LAG_MS)), this.foldDueIn(view, LAG_MS));
    this.foldTimer = setTimeout(
      () => {
        this.foldTimer = undefined;
        const lagMs = monotonicMs() - this.committedAt < QUIET_LAG_MS ? LAG_MS : QUIET_LAG_MS;
        const current = this.view ?? view;
        if (this.foldDueIn(current, lagMs) > 0) return this.foldLater(current);
        this.fold(lagMs).catch((error: unknown) => {
          this.noteFoldError(error);
          this.foldLater(current); // who is busy may not look at the store for long
        });
      },
      this.foldError === undefined ? Math.max(dueInMs, 10) : LAG_MS,
    );
    this.foldTimer.unref();
  }

  /** Looks for what others have committed while nobody here is told of it: a worker that can claim nothing does not watch. */
  private lookLater(): void {
    if (this.lookTimer !== undefined || this.closed || this.watchers > 0) return;
    this.lookTimer = setTimeout(() => {
      this.lookTimer = undefined;
      if (this.watchers > 0) return;
      if (this.foldTimer === undefined) this.fold(LAG_MS).catch((error: unknown) => this.noteFoldError(error));
      this.lookLater();
    }, LAG_MS);
    this.lookTimer.unref();
  }

  private noteFoldError(error: unknown): void {
    this.foldError = refusalOf(error);
  }

  /**
   * Brings the snapshot up to date, unless it is not older than so many milliseconds.
   *
   * @throws QueuectlError what keeps the journal from being read
   */
  async fold(lagMs: number): Promise<void> {
    if (!this.hasSomethingToFold()) {
      this.foldError = undefined; // somebody else has folded since
      return;
    }
    const { fold } = await foldModule();
    await this.underLock(async (held) => {
      const view = this.refreshedView();
      if (!view.needsFold || this.foldDueIn(view, lagMs) > 0) return;
      try {
        fold(view, this.paths, held, this.clock());
        this.foldError = undefined;
        clearTimeout(this.foldTimer); // which the look at the journal has set
        this.foldTimer = undefined;
      } catch (error) {
        this.dropView();
        if (error instanceof LockLostError) return; // the new holder sees to it
        this.foldError = refusalOf(error); // what was committed stays committed
      }
    });
  }

  async *check(): AsyncGenerator<Check> {
    const { checkFiles } = await import('./checkup.js');
    yield* checkFiles({
      paths: this.paths,
      clock: this.clock,
      underLock: (section) => this.underLock(section),
    });
  }

  private replaceConfig(next: () => Buffer): Promise<void> {
    return this.underLock(async (held) => {
      const { replaceFile } = await foldModule();
      replaceFile(this.paths.config, next(), this.paths, held);
    });
  }

  subscribe(onNews: () => void): () => void {
    if (!this.wasRemoved()) this.makeDirectories();
    let watcher: fs.FSWatcher;
    try {
      watcher = fs.watch(this.paths.dir, (_event, name) => {
        if (name === null || `${this.paths.dir}/${name}` === this.paths.journal) onNews();
      });
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
      return () => {}; // the system has no watch left: changes are still seen, after worker_idle_delay
    }
    this.watchers += 1;
    let isWatching = true;
    const end = () => {
      watcher.close();
      if (isWatching) this.watchers -= 1;
      isWatching = false;
      if (this.isWorker) this.lookLater();
    };
    watcher.on('error', end); // the same
    return end;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    if (this.options.role === 'onlooker') return this.dropView();
    clearTimeout(this.foldTimer);
    clearTimeout(this.lookTimer);
    try {
      if (this.isWorker) await this.fold(QUIET_LAG_MS); // those that go on may not look at the store for long
      if (await this.leavesTidyingToMe()) {
        this.foldError = undefined;
        await this.underLock(async (held) => {
          const view = this.refreshedView();
          if (!view.needsFold) return;
          const { fold } = await foldModule();
          fold(view, this.paths, held, this.clock());
        });
      }
    } catch (error) {
      this.noteFoldError(error);
    } finally {
      await this.turns.run(async () => this.dropView()); // not under the hands of a fold that has begun
    }
    if (this.foldError !== undefined) this.options.onWarning(this.foldError);
  }

  private async leavesTidyingToMe(): Promise<boolean> {
    if (!this.hasSomethingToFold()) {
      this.foldError = undefined; // somebody else has folded since
      return false;
    }
    return !(await this.anybodyWorks());
  }

  /** Whether there is somebody to fold; or, where that cannot be told, might be. */
  private async leavesFoldsToWorkers(): Promise<boolean> {
    try {
      return await this.anybodyWorks();
    } catch (error) {
      refusalOf(error); // or the program is at fault
      return true;
    }
  }

  private async anybodyWorks(): Promise<boolean> {
    return (await this.workers.list()).records.some(this.options.isAlive);
  }

  /** Whether the journal has anything that the snapshot has not; a journal that was read need not be read again. */
  private hasSomethingToFold(): boolean {
    if (this.view?.needsFold && this.view.journal?.isCurrent()) return true;
    const journal = Journal.open(this.paths.journal); // by itself: a long snapshot takes its time to read
    if (journal === null) return false;
    try {
      journal.readNews(() => {});
    } finally {
      journal.close();
    }
    return journal.commits > 0 || journal.sealed;
  }
}
