/** Commands that change a store, the stores they meet, and what may be found there when a fault has struck. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import type { WorkerRecord } from '../../db/model/worker.js';
import { currentIdentity } from '../../utils/processIdentity.js';
import { type Contents, contentsOf } from '../db/stores/file/steps.js';
import { assertWithin } from '../helpers/assertWithin.js';
import { pendingJob, T0 } from '../helpers/jobFactory.js';
import { fileStore, storeAt, type TestStore } from '../helpers/testStore.js';
import { byKind, shelfAt } from '../integration/support.js';
import { assertDone, type Ended, EVERY_CASE, each, LateError, manyStores, queuectl, run } from './run.js';
import { type Call, callsIn, fileOf, isAnswer, isChange, type Traced, touches, trace } from './strace.js';

export interface Scenario {
  readonly title: string;
  readonly args: readonly string[];
  readonly prepare: (dir: string) => Promise<void>;
  /** Whether it makes several changes, each for itself. */
  readonly isSeveral?: boolean;
}

const ENQUEUE = ['enqueue', '--id', 'new', 'true'];
const RETRY = ['dlq-retry', 'dead'];

const RARE: readonly Scenario[] = [
  { title: 'enqueue after a crash', args: ENQUEUE, prepare: fillAndCrash },
  { title: 'dlq-retry while a worker lives', args: RETRY, prepare: fillWithWorker },
  { title: 'status that takes back a job', args: ['status'], prepare: fillWithDeadWorker, isSeveral: true },
];

export const SCENARIOS: readonly Scenario[] = [
  { title: 'enqueue to a new store', args: ENQUEUE, prepare: async () => {} },
  { title: 'enqueue', args: ENQUEUE, prepare: fill },
  { title: 'enqueue while a worker lives', args: ENQUEUE, prepare: fillWithWorker },
  { title: 'dlq-retry', args: RETRY, prepare: fill },
  { title: 'config-set', args: ['config-set', 'max_retries', '7'], prepare: fill },
  ...(EVERY_CASE ? RARE : []),
];

const WORKER_ID = 'w1';
/** The pid of no process. */
const NOBODY = 0;

const isInFiles = byKind({ file: true, sqlite: false });
const storeIn = (dir: string): TestStore => storeAt(shelfAt(dir).address);
/** What names a store to a program. */
const environmentOf = (dir: string) => ({ directory: dir, env: shelfAt(dir).env });

/** A store at rest with jobs in the queue and a dead one. */
export async function fill(dir: string): Promise<void> {
  const store = storeIn(dir);
  await store.transaction(async ({ jobs, dlq }) => {
    await jobs.createJob(pendingJob({ id: 'dead' }));
    const job = await jobs.claimNext(WORKER_ID, T0);
    assert.ok(job !== undefined);
    await dlq.moveToDLQ(job, 'exit code 1', T0);
    for (const id of ['p', 'q', 'r']) await jobs.createJob(pendingJob({ id }));
  });
  await store.close();
  if (isInFiles) fs.utimesSync(join(dir, 'lock/store.file'), NOBODY, NOBODY); // who had the lock last has ended, as a command has
}

export async function fillWithWorker(dir: string): Promise<void> {
  await fill(dir);
  await register(dir, currentIdentity());
}

/** The worker on record has ended, as it were. */
export const removeWorker = (dir: string): void =>
  isInFiles ? fs.rmSync(join(dir, 'workers'), { recursive: true }) : shelfAt(dir).removeWorker(WORKER_ID);

async function fillWithDeadWorker(dir: string): Promise<void> {
  await fill(dir);
  const store = storeIn(dir);
  await store.jobs.claimNext(WORKER_ID, T0);
  await store.close();
  await register(dir, { ...currentIdentity(), start_time: '1' });
}

async function register(dir: string, identity: Pick<WorkerRecord, 'pid' | 'start_time' | 'boot_id'>): Promise<void> {
  const store = storeIn(dir);
  await store.workers.register({
    ...identity,
    id: WORKER_ID,
    role: 'worker',
    started_at: T0,
    supervisor_id: null,
  });
  if (!isInFiles) await store.close(); // of files it would be said to have the lock
}

/** Commits, and one that was cut short, which nobody has brought from the journal into the rest. */
async function fillAndCrash(dir: string): Promise<void> {
  await fill(dir);
  const crashed = storeIn(dir);
  for (const id of ['s', 't']) await crashed.jobs.createJob(pendingJob({ id }));
  if (isInFiles) {
    fs.appendFileSync(join(dir, 'journal.ndjson'), '{"seq":');
    return;
  }
  fs.cpSync(dir, `${dir}.crashed`, { recursive: true });
  await crashed.close();
  fs.rmSync(dir, { recursive: true });
  fs.renameSync(`${dir}.crashed`, dir);
  fs.appendFileSync(join(dir, 'queue.db-wal'), 'half of a page');
}

/** How far the number of a call may be from what it was in the untouched run, in the order in which that is tried. */
const DRIFTS = [0, 1, -1, 0, 1, 2, -1, -2, 0, 1];
/** So many of the strikes at all must strike what they are meant for. */
const AIM = 0.9;

/** A fault to be caused at a call. */
export interface Strike {
  readonly call: Call;
  /** As strace has it: `error=EIO`. */
  readonly fault: string;
}

export interface Struck extends Strike {
  readonly dir: string;
  readonly ended: Ended;
}

/** A scenario that has been run once untouched, to see what it does and by which calls. */
export class Trial {
  private constructor(
    private readonly scenario: Scenario,
    private readonly place: string,
    private readonly untouched: string,
    /** What the store held before the command, and after it. */
    readonly before: unknown,
    readonly after: unknown,
    private readonly touching: readonly Call[],
    private readonly answer: Call,
  ) {}

  /** The calls that change the store, or with every case those that touch it; then the one that says that it is done. */
  get calls(): Call[] {
    return [...this.touching.filter((call) => EVERY_CASE || isChange(call)), this.answer];
  }

  static async of(scenario: Scenario): Promise<Trial> {
    const place = manyStores();
    const dir = join(place, 'untouched');
    await scenario.prepare(dir);
    const before = await timelessContents(dir);
    const untouched = await trace(queuectl(...scenario.args), environmentOf(dir));
    assertDone(untouched, 'untouched');
    const touching = untouched.calls.filter((call) => touches(dir, call));
    const answer = untouched.calls.find(isAnswer);
    assert.ok(answer !== undefined);
    return new Trial(scenario, place, dir, before, await timelessContents(dir), touching, answer);
  }

  /** Runs the command once for each fault, on stores of their own, and sees what becomes of it. @returns what `check` did */
  async strikeEach<T>(strikes: readonly Strike[], check: (struck: Struck) => Promise<T>): Promise<T[]> {
    const all = await each(strikes, 2, async (strike) => {
      const struck = await this.strike(strike);
      return struck && { result: await check(struck) };
    });
    const hits = all.filter((one) => one !== undefined);
    const missed = strikes.filter((_, at) => all[at] === undefined).map(({ call, fault }) => `${fault}: ${call.text}`);
    const told = `only ${hits.length} of ${strikes.length} strikes have struck, and not\n${missed.join('\n')}`;
    assert.ok(hits.length >= AIM * strikes.length, told);
    return hits.map(({ result }) => result);
  }

  /**
   * Node makes a call of its own now and then, so what was meant for one may strike another; then it is done over. Only
   * where a file's name is known can the others be left out.
   *
   * @returns undefined when it has struck another every time
   */
  private async strike({ call, fault }: Strike): Promise<Struck | undefined> {
    const { scenario, place, untouched } = this;
    const aim = aimOf(untouched, call);
    const rank = isAnswer(call) ? 0 : this.touching.filter((one) => aimOf(untouched, one) === aim).indexOf(call);
    const file = hasFixedName(untouched, call) ? fileOf(untouched, call)?.slice(untouched.length) : undefined;
    for (const [tries, drift] of DRIFTS.entries()) {
      const dir = join(place, `${call.name}-${call.nth}-${fault}-${tries}`);
      await scenario.prepare(dir);
      const nth = file === undefined ? Math.max(call.nth + drift, 1) : rank + 1;
      const ended = await traceOrGiveUp(queuectl(...scenario.args), dir, `${call.name}:${fault}:when=${nth}`, file);
      if (ended === undefined) continue;
      const same = ended.calls.filter((one) => aimOf(dir, one) === aim)[rank];
      if (same !== undefined && struckCall(ended) === same) return { call, fault, dir, ended };
    }
    return undefined;
  }

  /** Runs the command on a store of its own under a program such as `prlimit`. */
  async runUnder(wrapper: readonly string[], name: string): Promise<{ dir: string; ended: Ended }> {
    const dir = join(this.place, name);
    await this.scenario.prepare(dir);
    return { dir, ended: await run([...wrapper, ...queuectl(...this.scenario.args)], environmentOf(dir)) };
  }
}

/** @returns undefined when Node is stuck, as when it cannot write to itself; fails when the command is */
async function traceOrGiveUp(command: readonly string[], dir: string, fault: string, file: string | undefined) {
  try {
    return await trace(command, environmentOf(dir), fault, file === undefined ? undefined : `${dir}${file}`);
  } catch (error) {
    if (!(error instanceof LateError)) throw error;
    const struck = callsIn(dir).find(isInjected);
    if (struck !== undefined && touches(dir, struck)) throw error;
    return undefined;
  }
}

/** Which call it is, and on which file, whatever the numbers in temporary names and of open files are. */
function aimOf(dir: string, call: Call): string {
  if (isAnswer(call)) return 'answer';
  const place = fileOf(dir, call)
    ?.slice(dir.length)
    .replace(/\d+-[\da-f]+\.tmp/, 'N.tmp')
    .replace(/\d+/g, 'N');
  return `${call.name} ${place} ${isDeleted(call)}`;
}

const isDeleted = ({ text }: Call) => text.includes('(deleted)');

const hasFixedName = (dir: string, call: Call) =>
  !isAnswer(call) && call.name !== 'rename' && !isDeleted(call) && !fileOf(dir, call)?.includes('.tmp');

const isInjected = ({ text }: Call) => text.endsWith('(INJECTED)');

const struckCall = ({ signal, calls }: Traced) => (signal === 'SIGKILL' ? calls.at(-1) : calls.find(isInjected));

/** What a store holds but for times and claims, which differ from run to run. */
async function timelessContents(dir: string): Promise<unknown> {
  const contents = isInFiles ? await foldedContents(dir) : await lookAtCopy(dir, contentsOf);
  return JSON.parse(JSON.stringify(contents, (key, value) => (/(_at|^worker_id|^claim_id)$/.test(key) ? null : value)));
}

async function foldedContents(dir: string): Promise<Contents> {
  const store = fileStore(dir);
  const contents = await contentsOf(store);
  await store.store.fold(0);
  return contents;
}

/** Whoever opens an SQLite database tidies it, which is to be left to the program. */
async function lookAtCopy<T>(dir: string, look: (store: TestStore) => Promise<T>): Promise<T> {
  const copy = `${dir}.copy`;
  if (fs.existsSync(dir)) fs.cpSync(dir, copy, { recursive: true });
  const store = storeIn(copy);
  try {
    return await look(store);
  } finally {
    await store.close();
    fs.rmSync(copy, { recursive: true, force: true });
  }
}

const hasWorker = (dir: string): boolean | Promise<boolean> =>
  isInFiles
    ? fs.existsSync(join(dir, 'workers', `${WORKER_ID}.json`))
    : lookAtCopy(dir, async ({ workers }) => (await workers.list()).records.length > 0);

/** Fails unless every file that is replaced whole is whole; an SQLite database is not, and is looked at when it is at rest. */
export function assertWhole(dir: string, when: string): void {
  for (const name of ['queue.json', 'dlq.json', 'config.json']) {
    const path = join(dir, name);
    if (!fs.existsSync(path)) continue;
    const text = fs.readFileSync(path, 'utf8');
    assert.doesNotThrow(() => JSON.parse(text), `${when}: ${name} holds ${JSON.stringify(text)}`);
  }
}

/** A dead process's lock is taken after 3 seconds; a living one's after 10. The rest is for a busy machine. */
const NEXT_MS = 8000;

/**
 * Fails unless the store is in order after a fault: it holds one of these contents, the next command works at once, and
 * nothing is left behind once the worker on record is gone.
 *
 * @returns the contents found
 */
export async function checkRemains(dir: string, possible: readonly unknown[], when: string): Promise<unknown> {
  assertWhole(dir, when);
  const found = await timelessContents(dir);
  const match = possible.find((contents) => JSON.stringify(contents) === JSON.stringify(found));
  assert.ok(match !== undefined, `${when}: ${JSON.stringify(found)} is none of ${JSON.stringify(possible)}`);

  const next = await run(queuectl('enqueue', '--id', 'next', 'true'), environmentOf(dir));
  assertDone(next, `${when}: the next command`);
  await assertWithin(next.ms, NEXT_MS, `${when}: the next command`);
  assertWhole(dir, when);

  if (await hasWorker(dir)) {
    removeWorker(dir);
    assertDone(await run(queuectl('config-set', 'kill_grace', '5'), environmentOf(dir)), `${when}: the last command`);
  }
  const expected = await timelessContents(dir);
  const { jobs, ...others } = expected as { jobs: { id: string }[] };
  const rest = { jobs: jobs.filter(({ id }) => id !== 'next'), ...others };
  assert.equal(jobs.length, rest.jobs.length + 1, `${when}: the next command's job`);
  assert.deepEqual(rest, found, `${when}: after the next command`);
  assertAtRest(dir, when);
  return match;
}

const assertAtRest = byKind({ file: assertFilesAtRest, sqlite: assertDatabaseAtRest });

function assertFilesAtRest(dir: string, when: string): void {
  const journal = fs.readFileSync(join(dir, 'journal.ndjson'), 'utf8');
  assert.equal(journal.trimEnd().split('\n').length, 1, `${when}: not folded`);
  const names = fs.readdirSync(dir).filter((name) => name.includes('.tmp'));
  assert.deepEqual(names, [], `${when}: temporary files are left`);
  assert.ok(!fs.existsSync(join(dir, 'lock/store')), `${when}: a lock is left`);
}

function assertDatabaseAtRest(dir: string, when: string): void {
  assert.deepEqual(fs.readdirSync(dir), ['queue.db'], `${when}: something is left`);
  assert.doesNotThrow(() => shelfAt(dir).assertWhole(), `${when}: it is damaged`);
}
