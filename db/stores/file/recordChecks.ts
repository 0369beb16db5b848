/** Looks at the files with the jobs, and repairs them: what can be read is kept, and a copy of the files as they were. */
import fs from 'node:fs';
import type { Clock } from '../../../utils/clock.js';
import { QueuectlError } from '../../../utils/errors.js';
import { identityOf, makeDirectory, readLong } from '../../../utils/files.js';
import type { HeldLock } from '../../../utils/lock.js';
import { writeTemp } from '../../../utils/tempFiles.js';
import type { Check } from '../../store.js';
import { counted, FIX, momentDirectory, ok, unusable } from '../placeChecks.js';
import type { Records } from '../records.js';
import { replaceSnapshot, type Snapshot } from './fold.js';
import { type NamedFile, sealDamaged } from './journal.js';
import type { StorePaths } from './paths.js';
import { type Salvage, salvage } from './salvage.js';
import { contentOfJobs, EMPTY_FILE } from './snapshot.js';
import { perFile, type SnapshotName } from './snapshotFiles.js';
import { View } from './view.js';

/** What is looked over. */
export interface Checkup {
  readonly paths: StorePaths;
  readonly clock: Clock;
  underLock<T>(section: (held: HeldLock) => Promise<T>): Promise<T>;
}

/** One check for each of the three files that belong together. */
export function* checkRecords(checkup: Checkup): Generator<Check> {
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
    const { commits = 0, sealed = false, unreadable = 0 } = journal ?? {};
    const voids =
      unreadable === 0 ? '' : `; ${counted(unreadable, 'line')} that cannot be read, as of a write cut short`;
    if (journal === null && identityOf(paths.queue) !== null) yield goneJournal(checkup);
    else
      yield ok(
        'journal.ndjson',
        `${sealed ? 'a fold is to be finished' : `${counted(commits, 'commit')} not folded yet`}${voids}`,
      );
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
        contentOfJobs(file, file.name === 'queue' ? records.listQueue() : records.listDead(), () => held.renew()),
      ),
      // The gap behind a seal tells those who follow the former journal to read the snapshot again.
      header: (named) => ({ journal: 1, first: journal.nextSeq + 1, folded_at: now, fold_ms: 0, ...named }),
    };
    replaceSnapshot(paths, held, next, { seal: () => sealDamaged(paths.journal) });
    return `${described(records)} are kept; the former files are in ${kept}`;
  });
}

/** Copies files to a directory of this moment's name. @returns the directory */
export function keep(files: readonly string[], paths: StorePaths, now: number): string {
  const kept = momentDirectory(paths.replaced, now);
  makeDirectory(kept);
  for (const path of files) {
    const file = readLong(path);
    if (file === null) continue;
    const copy = `${kept}/${path.slice(path.lastIndexOf('/') + 1)}`;
    fs.renameSync(writeTemp(copy, file.content).path, copy);
  }
  return kept;
}
