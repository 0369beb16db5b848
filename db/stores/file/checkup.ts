/** Looks at every file of a store, and offers to mend what is wrong. Nothing is changed but by a `repair`. */
import fs from 'node:fs';
import { delay } from '../../../utils/delay.js';
import { storageError } from '../../../utils/errors.js';
import { findTempFiles, identityOf, readWhole, removeFile } from '../../../utils/files.js';
import { inspectLock } from '../../../utils/lock.js';
import { pidExists } from '../../../utils/processIdentity.js';
import type { Check } from '../../store.js';
import {
  checkFileSystem,
  checkOwnership,
  checkPermissions,
  FIX,
  looked,
  ok,
  type Part,
  partsIn,
  visibleNames,
} from '../placeChecks.js';
import { replaceFile } from './fold.js';
import { replacedFiles, type StorePaths } from './paths.js';
import { type Checkup, checkRecords, keep } from './recordChecks.js';
import { salvageSettings, settingsContent } from './settingsFile.js';

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
  if (visibleNames(paths.dir) === undefined || !isStore(paths)) return;
  yield await looked('file system', () => checkRoom(paths));
  yield await looked('ownership', () => checkOwnership(paths.dir, partsOf(paths)));
  yield await looked('permissions', () => checkPermissions(paths.dir, partsOf(paths)));
  const config = await looked('config.json', () => checkConfig(checkup));
  yield config;
  const after = await looked('config.json', () => checkConfig(checkup));
  if (after.state === 'wrong' && after.fact !== config.fact) yield after; // what the repair of the rest leaves
  yield* checkRecords(checkup);
  yield await looked('lock', () => checkLock(checkup));
  yield await looked('temporary files', () => checkTempFiles(checkup));
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

/** Whether a store has ever been written here, or workers wait for that. */
const isStore = ({ lock, journal, lockDir, workers }: StorePaths) =>
  fs.existsSync(`${lock}.file`) || fs.existsSync(journal) || (fs.existsSync(lockDir) && fs.existsSync(workers));

function checkRoom({ dir, queue, dlq, journal }: StorePaths): Check {
  const bytes = SPARE_BYTES + [queue, dlq, journal].reduce((sum, path) => sum + (identityOf(path)?.size ?? 0), 0);
  const remedy = 'Choose a directory on a local disk with --data-dir: locks and renames cannot be relied on there.';
  return checkFileSystem(dir, dir, { bytes, words: 'to write the queue anew' }, remedy);
}

function partsOf(paths: StorePaths): Part[] {
  return [
    { path: paths.journal, kind: 'file' },
    ...[paths.queue, paths.dlq, paths.config].map((path) => ({ path, kind: 'file', needed: 0o400 }) as const),
    ...partsIn([paths.lockDir, paths.workers]),
    ...partsIn([paths.logs], 0),
    { path: paths.replaced, kind: 'directory' },
  ];
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
