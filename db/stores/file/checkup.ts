/** Looks at every file of a store, and offers to mend what is wrong. Nothing is changed but by a `repair`. */
import fs from 'node:fs';
import type { Clock } from '../../../utils/clock.js';
import { delay } from '../../../utils/delay.js';
import { errnoCode, QueuectlError, storageError } from '../../../utils/errors.js';
import { findTempFiles, identityOf, makeDirectory, readWhole, removeFile } from '../../../utils/files.js';
import { type HeldLock, inspectLock } from '../../../utils/lock.js';
import { pidExists } from '../../../utils/processIdentity.js';
import { writeTemp } from '../../../utils/tempFiles.js';
import type { Check } from '../../store.js';
import {
  checkFileSystem,
  checkOwnership,
  checkPermissions,
  counted,
  FIX,
  looked,
  momentDirectory,
  ok,
  type Part,
  unusable,
} from '../placeChecks.js';
import type { Records } from '../records.js';
import { replaceFile, replaceSnapshot, type Snapshot } from './fold.js';
import { type NamedFile, sealDamaged } from './journal.js';
import { replacedFiles, type StorePaths } from './paths.js';
import { type Salvage, salvage } from './salvage.js';
import { salvageSettings, settingsContent } from './settingsFile.js';
import { contentOfJobs, EMPTY_FILE } from './snapshot.js';
import { perFile, type SnapshotName } from './snapshotFiles.js';
import { View } from './view.js';

export interface Checkup {
  readonly paths: StorePaths;
  readonly clock: Clock;
  underLock<T>(section: (held: HeldLock) => Promise<T>): Promise<T>;
}

/** A fold needs as much room as the files have, and a little for the commits before it. */
const SPARE_BYTES = 1_000_000;
/** A lock that looks abandoned may have been made just now, and not be signed yet. */
const SIGNED_WITHIN_MS = 50;

/** The checks in their order; each sees what the repairs before it have done. */
export async function* checkFiles(checkup: Checkup): AsyncGenerator<Check> {
  const { paths } = checkup;
  if (fs.lstatSync(paths.dir, { throwIfNoEntry: false }) === undefined) {
    yield ok('data directory', `${paths.dir} is not there yet; the first job makes it`);
    return;
  }
  yield await looked('data directory', () => checkDirectory(paths));
  if (!isReadable(paths.dir) || !isStore(paths)) return;
  yield await looked('file system', () => checkRoom(paths));
  yield await looked('ownership', () => checkOwnership(paths.dir, partsOf(paths)));
  yield await looked('permissions', () => checkPermissions(paths.dir, partsOf(paths)));
  yield await looked('config.json', () => checkConfig(checkup));
  yield* checkRecords(checkup);
  yield await looked('lock', () => checkLock(checkup));
  yield await looked('temporary files', () => checkTempFiles(checkup));
}

function isReadable(dir: string): boolean {
  try {
    fs.readdirSync(dir);
    return true;
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return false;
  }
}

function checkDirectory(paths: StorePaths): Check {
  const { dir } = paths;
  const name = 'data directory';
  try {
    const isEmpty = fs.readdirSync(dir).length === 0;
    fs.accessSync(dir, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
    if (isEmpty || isStore(paths)) return ok(name, dir);
  } catch (error) {
    throw storageError(error, `use ${dir}`);
  }
  const remedy = 'Nothing in it is looked at. Name the directory of a queue with --data-dir.';
  return { name, state: 'wrong', fact: `${dir} is no queue: it has neither a lock nor a journal`, remedy };
}

/** Whether a store has ever been written here. */
const isStore = ({ lock, journal }: StorePaths) => fs.existsSync(`${lock}.file`) || fs.existsSync(journal);

function checkRoom({ dir, queue, dlq, journal }: StorePaths): Check {
  const bytes = SPARE_BYTES + [queue, dlq, journal].reduce((sum, path) => sum + (identityOf(path)?.size ?? 0), 0);
  const remedy = 'Choose a directory on a local disk with --data-dir: locks and renames cannot be relied on there.';
  return checkFileSystem(dir, dir, { bytes, words: 'to write the queue anew' }, remedy);
}

function partsOf(paths: StorePaths): Part[] {
  const parts: Part[] = replacedFiles(paths).map((path) => ({ path, kind: 'file' }));
  for (const folder of [paths.lockDir, paths.workers, paths.logs]) {
    parts.push({ path: folder, kind: 'directory' });
    if (fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
    for (const name of fs.readdirSync(folder)) parts.push({ path: `${folder}/${name}`, kind: 'file' });
  }
  parts.push({ path: paths.replaced, kind: 'directory' });
  return parts;
}

function checkConfig({ paths, clock, underLock }: Checkup): Check {
  const name = 'config.json';
  const file = readWhole(paths.config);
  if (file === null) return ok(name, 'not there; the defaults hold');
  const { unknown, faults } = salvageSettings(paths.config, file.content);
  const [first] = faults;
  if (first !== undefined) {
    return {
      name,
      state: 'wrong',
      fact: faults.join('; '),
      remedy: `${FIX} keeps the other settings and a copy of the file.`,
      repair: () =>
        underLock(async (held) => {
          const kept = keep([paths.config], paths, clock());
          const content = readWhole(paths.config)?.content ?? Buffer.alloc(0);
          replaceFile(paths.config, settingsContent(salvageSettings(paths.config, content).values), paths, held);
          return `the default holds where it was wrong; the former file is in ${kept}`;
        }),
    };
  }
  if (unknown.length === 0) return ok(name, 'every setting is known and in range');
  const fact = `${paths.config}: unknown settings have no effect: ${unknown.join(', ')}`;
  return {
    name,
    state: 'wrong',
    fact,
    remedy: '`queuectl config-get` lists the known ones; correct the file by hand.',
  };
}

/** One check for each of the three files that belong together. */
function* checkRecords(checkup: Checkup): Generator<Check> {
  const { paths } = checkup;
  const files = [
    ['queue.json', 'queue'],
    ['dlq.json', 'dlq'],
    ['journal.ndjson', 'journal'],
  ] as const;
  const damage = findDamage(paths);
  if (damage === undefined) {
    const view = View.open(paths);
    const { records, journal } = view;
    view.close();
    yield whole(checkup, 'queue', counted(records.listQueue().length, 'job'), journal?.header.queue);
    yield whole(checkup, 'dlq', counted(records.count('dead'), 'job'), journal?.header.dlq);
    const { commits = 0, sealed = false } = journal ?? {};
    if (journal === null && identityOf(paths.queue) !== null) yield goneJournal(checkup);
    else
      yield ok('journal.ndjson', sealed ? 'a fold is to be finished' : `${counted(commits, 'commit')} not folded yet`);
    return;
  }
  let salvaged: Salvage;
  try {
    salvaged = salvage(paths);
  } catch (error) {
    const [name] = files.find(([, key]) => damage.includes(paths[key])) ?? ['queue.json'];
    yield unusable(name, error);
    return;
  }
  const { faults, journal, records } = salvaged;
  const isAlone = Object.values(faults).every((list) => list.length === 0);
  let isRepaired = false;
  for (const [name, key] of files) {
    const list = [...faults[key], ...(isAlone && damage.startsWith(paths[key]) ? [damage] : [])];
    if (isRepaired || list.length === 0) {
      yield ok(name, isRepaired ? 'written anew' : 'whole by itself');
      continue;
    }
    const fact = `${list.slice(0, 3).join('; ')}${list.length > 3 ? `; and ${list.length - 3} more` : ''}`;
    if (journal.newer !== undefined) {
      yield { name, state: 'wrong', fact, remedy: 'Use the newer queuectl that wrote it.' };
      continue;
    }
    yield {
      name,
      state: 'wrong',
      fact,
      remedy: `${FIX} keeps the ${described(records)} that can be read, and a copy of the files.`,
      repair: async () => {
        const done = await repairRecords(checkup);
        isRepaired = true;
        return done;
      },
    };
  }
}

/** A snapshot file that can be read, or is not there, which counts as empty. @param named by the journal */
function whole(checkup: Checkup, key: SnapshotName, fact: string, named: NamedFile | null | undefined): Check {
  const { paths } = checkup;
  const name = `${key}.json`;
  if (!named || named.size <= EMPTY_FILE.length || identityOf(paths[key]) !== null) return ok(name, fact);
  return {
    name,
    state: 'wrong',
    fact: `${paths[key]} is gone, and had ${named.size} bytes when it was written last`,
    remedy: `Every command takes it for empty. Put it back, or let ${FIX} write an empty one.`,
    repair: () => repairRecords(checkup),
  };
}

const goneJournal = (checkup: Checkup): Check => ({
  name: 'journal.ndjson',
  state: 'wrong',
  fact: 'it is gone, and with it what was changed since queue.json was written last',
  remedy: `Put it back, or let ${FIX} begin a new one.`,
  repair: () => repairRecords(checkup),
});

const described = (records: Records) =>
  `${counted(records.listQueue().length, 'job')} and ${counted(records.count('dead'), 'dead job')}`;

/** What every other command would say; undefined when they can all work. */
function findDamage(paths: StorePaths): string | undefined {
  let view: View | undefined;
  try {
    view = View.open(paths);
    view.records; // they are read when they are asked for
    return undefined;
  } catch (error) {
    if (error instanceof QueuectlError) return error.fact;
    throw error;
  } finally {
    view?.close();
  }
}

function repairRecords({ paths, clock, underLock }: Checkup): Promise<string> {
  return underLock(async (held) => {
    const now = clock();
    const kept = keep([paths.queue, paths.dlq, paths.journal], paths, now);
    held.renew();
    const { records, journal } = salvage(paths);
    held.renew();
    const next: Snapshot = {
      contents: perFile((file) =>
        contentOfJobs(file, file.name === 'queue' ? records.listQueue() : records.listDead()),
      ),
      header: (named) => ({ journal: 1, first: journal.nextSeq, folded_at: now, fold_ms: 0, ...named }),
    };
    replaceSnapshot(paths, held, next, () => sealDamaged(paths.journal));
    return `${described(records)} are kept; the former files are in ${kept}`;
  });
}

/** Copies files to a directory of this moment's name. @returns the directory */
function keep(files: readonly string[], paths: StorePaths, now: number): string {
  const kept = momentDirectory(paths.replaced, now);
  makeDirectory(kept);
  for (const path of files) {
    const file = readWhole(path);
    if (file === null) continue;
    const copy = `${kept}/${path.slice(path.lastIndexOf('/') + 1)}`;
    fs.renameSync(writeTemp(copy, file.content).path, copy);
  }
  return kept;
}

async function checkLock({ paths, underLock }: Checkup): Promise<Check> {
  const name = 'lock';
  const before = inspectLock(paths.lock);
  if (before !== undefined && !before.isHeld) await delay(SIGNED_WITHIN_MS);
  const lock = inspectLock(paths.lock);
  if (lock === undefined) return ok(name, 'free');
  if (lock.isHeld || lock.ctimeMs !== before?.ctimeMs) return ok(name, `held by process ${lock.pid}`);
  return {
    name,
    state: 'wrong',
    fact: `${paths.lock} was left by process ${lock.pid}, which is gone or stopped`,
    remedy: `The next command takes it over within seconds, and so does ${FIX}.`,
    repair: () => underLock(async () => 'taken over, and given back'),
  };
}

function checkTempFiles({ paths, underLock }: Checkup): Check {
  const name = 'temporary files';
  const find = () => {
    const ours = findTempFiles(paths.dir).filter(({ target }) =>
      replacedFiles(paths).includes(`${paths.dir}/${target}`),
    );
    return [...ours, ...findTempFiles(paths.workers)].filter(({ pid }) => !pidExists(pid)).map(({ path }) => path);
  };
  const found = find();
  if (found.length === 0) return ok(name, 'none is left over');
  return {
    name,
    state: 'wrong',
    fact: `left over by processes that are gone: ${found.slice(0, 3).join(', ')}${found.length > 3 ? ' …' : ''}`,
    remedy: `They do no harm; ${FIX} removes them.`,
    repair: () =>
      underLock(async () => {
        for (const path of find()) removeFile(path);
        return `removed: ${found.length}`;
      }),
  };
}
