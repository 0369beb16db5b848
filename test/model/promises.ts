/** What the store promises, checked on whatever a machine holds. */
import assert from 'node:assert/strict';
import type { Job } from '../../db/model/job.js';
import type { Config } from '../../db/model/settings.js';
import type { Contents, Step, Verb } from '../db/stores/file/steps.js';
import { type Program, pidOf, runAlone, SIMULATED_DIR } from './replay.js';
import { type Files, NO_DESCRIPTORS, System } from './simulatedFs.js';

/** What somebody sees who opens the store, and what is in the files that anybody may read. */
export interface Sight extends Contents {
  readonly id: number;
  /** How far each job has come, by what the store says and by queue.json alone; 0 where it is not. */
  readonly stages: ReadonlyMap<string, number>;
  readonly rawStages: ReadonlyMap<string, number>;
}

const STAGES = { pending: 1, processing: 2, completed: 3, failed: 3, dead: 4 } as const;
const DEAD = STAGES.dead;
const OBSERVER = 90;
const STORE_FILES = ['queue.json', 'dlq.json', 'config.json', 'journal.ndjson'].map(
  (name) => `${SIMULATED_DIR}/${name}`,
);
const LOCK = `${SIMULATED_DIR}/lock/store`;

const sights = new Map<string, Sight>();
const succeeded = new Set<string>();

export const counts = () => ({ sights: sights.size, successions: succeeded.size });

function systemAlone(files: Files, now: number): System {
  return new System(
    files,
    NO_DESCRIPTORS,
    pidOf(OBSERVER),
    now,
    () => false,
    () => false,
  );
}

async function run(system: System, steps: Program['steps'], clockMs: number): Promise<unknown[]> {
  const program: Program = { dir: SIMULATED_DIR, clockMs, role: 'command', steps };
  const { acknowledged, failed } = await runAlone(program, OBSERVER, system);
  assert.equal(failed, undefined, `somebody who comes now cannot ${steps.map(({ verb }) => verb).join(', ')}`);
  return acknowledged.map((json) => JSON.parse(json) as unknown);
}

function whole(files: Files, name: string): readonly { id: string }[] {
  const text = files.text(`${SIMULATED_DIR}/${name}`);
  if (text === undefined) return [];
  try {
    return JSON.parse(text) as { id: string }[];
  } catch {
    throw new Error(`${name} is not whole: ${text}`);
  }
}

/** What somebody sees who opens the store now. */
export async function look(files: Files, now: number, clockMs: number): Promise<Sight> {
  const noted = files.notes.get('sight') as Sight | undefined;
  if (noted !== undefined) return noted;
  const sight = await lookAnew(files, now, clockMs);
  files.notes.set('sight', sight);
  return sight;
}

async function lookAnew(files: Files, now: number, clockMs: number): Promise<Sight> {
  const key = files.keyOf(STORE_FILES);
  const known = sights.get(key);
  if (known !== undefined) return known;
  const [contents] = (await run(systemAlone(files, now), [{ verb: 'contents' }], clockMs)) as [Contents];
  const stages = new Map<string, number>();
  for (const job of contents.jobs) stages.set(job.id, STAGES[job.state]);
  for (const { id } of contents.dead) stages.set(id, DEAD);
  const rawStages = new Map<string, number>();
  for (const job of whole(files, 'queue.json') as Job[]) rawStages.set(job.id, STAGES[job.state]);
  for (const { id } of whole(files, 'dlq.json')) rawStages.set(id, DEAD);
  const sight = { ...contents, id: sights.size, stages, rawStages };
  sights.set(key, sight);
  return sight;
}

/** Nobody who looks twice sees something older the second time, neither by the store nor in queue.json. */
export function checkOrder(before: Sight, after: Sight, initial: Config): void {
  for (const [id, stage] of before.stages) {
    const now = after.stages.get(id) ?? 0;
    assert.ok(now >= stage, `job ${id} went back, from ${stage} to ${now}`);
  }
  for (const [id, stage] of before.rawStages) {
    const now = after.rawStages.get(id) ?? 0;
    const isBetween = now === 0 && after.stages.get(id) === DEAD; // gone from queue.json, not yet in dlq.json
    assert.ok(now >= stage || isBetween, `in queue.json, job ${id} went back, from ${stage} to ${now}`);
  }
  for (const [key, value] of Object.entries(before.config)) {
    if (value === initial[key as keyof Config]) continue;
    assert.equal(after.config[key as keyof Config], value, `the setting ${key} went back`);
  }
}

/** What a list shows is no older than the store was when it began, and no younger than it is now. */
export function checkList(json: string, floor: Sight, ceiling: Sight): void {
  const shown = new Map((JSON.parse(json) as Job[]).map((job) => [job.id, STAGES[job.state]]));
  for (const [id, stage] of floor.stages) {
    const now = shown.get(id) ?? 0;
    assert.ok(now >= stage || ceiling.stages.get(id) === DEAD, `a list shows job ${id} older than it was before`);
  }
  for (const [id, stage] of shown) {
    assert.ok((ceiling.stages.get(id) ?? 0) >= stage, `a list shows job ${id} as nobody sees it after`);
  }
}

export interface Progress {
  readonly steps: readonly ModelStep[];
  readonly acknowledged: readonly string[];
}

export type ModelStep = Step | { readonly verb: 'contents' };

/** All that was acknowledged is there, once, and of the rest only what is under way, whole or not at all. */
export function checkCommits(sight: Sight, initial: Sight, all: readonly Progress[]): void {
  const known = new Set(initial.stages.keys());
  const claims = new Map<string, { readonly held: Set<string>; open: number }>();
  for (const { steps, acknowledged } of all) {
    for (const [index, step] of steps.entries()) {
      const result = acknowledged[index];
      const state = result !== undefined ? 'done' : index === acknowledged.length ? 'under way' : 'ahead';
      const verbs = verbsOf(step);
      const results = (
        result === undefined ? [] : step.verb === 'transaction' ? JSON.parse(result) : [JSON.parse(result)]
      ) as unknown[];
      const created = verbs.filter((verb) => verb.verb === 'create');
      const there = created.filter(({ job }) => sight.stages.has(job.id));
      for (const { job } of created) known.add(job.id);
      if (state === 'done')
        assert.equal(
          there.length,
          created.length,
          `of ${created.map(({ job }) => job.id)} only ${there.map(({ job }) => job.id)} are there, though acknowledged`,
        );
      else if (state === 'ahead') assert.equal(there.length, 0, `${there.map(({ job }) => job.id)} came from nowhere`);
      else assert.ok(there.length === 0 || there.length === created.length, 'half a transaction is there');
      for (const [n, verb] of verbs.entries()) {
        if (verb.verb === 'claim') {
          const own = claims.get(verb.worker) ?? { held: new Set(), open: 0 };
          claims.set(verb.worker, own);
          if (state === 'under way') own.open += 1;
          const job = results[n] as Job | null | undefined;
          if (job !== null && job !== undefined) own.held.add(job.id);
        } else if ((verb.verb === 'complete' || verb.verb === 'bury') && state === 'done') {
          assert.equal(results[n], true, `${verb.verb} ${verb.id} was refused`);
          const least = verb.verb === 'complete' ? STAGES.completed : DEAD;
          assert.ok((sight.stages.get(verb.id) ?? 0) >= least, `${verb.verb} ${verb.id} is lost, though acknowledged`);
        }
      }
      if (step.verb === 'configure') {
        const value = sight.config[step.key];
        if (state === 'done') assert.equal(value, step.value, `the setting ${step.key} is lost, though acknowledged`);
        if (state === 'ahead')
          assert.equal(value, initial.config[step.key], `the setting ${step.key} came from nowhere`);
      }
    }
  }
  checkClaims(sight, initial, claims);
  for (const id of sight.stages.keys()) assert.ok(known.has(id), `job ${id} came from nowhere`);
}

function checkClaims(
  sight: Sight,
  initial: Sight,
  claims: ReadonlyMap<string, { readonly held: ReadonlySet<string>; readonly open: number }>,
): void {
  const owners = new Map<string, string>();
  for (const [worker, { held, open }] of claims) {
    for (const id of held) {
      assert.ok(!owners.has(id), `job ${id} was given to ${owners.get(id)} and to ${worker}`);
      owners.set(id, worker);
      assert.ok((sight.stages.get(id) ?? 0) >= STAGES.processing, `the claim of ${id} is lost, though acknowledged`);
    }
    const others = sight.jobs.filter((job) => job.worker_id === worker && !held.has(job.id) && isNew(job, initial));
    assert.ok(others.length <= open, `${worker} holds ${others.map(({ id }) => id)} and does not know it`);
  }
  for (const job of sight.jobs) {
    assert.ok(job.attempts <= 1, `job ${job.id} was claimed ${job.attempts} times`);
    const owner = owners.get(job.id);
    if (job.state === 'processing' && owner !== undefined)
      assert.equal(job.worker_id, owner, `job ${job.id} has another owner`);
  }
}

const isNew = (job: Job, initial: Sight) => initial.jobs.find(({ id }) => id === job.id)?.worker_id !== job.worker_id;

function verbsOf(step: ModelStep): readonly Verb[] {
  switch (step.verb) {
    case 'transaction':
      return step.verbs;
    case 'contents':
    case 'configure':
    case 'list':
    case 'fold':
    case 'close':
    case 'repair':
      return [];
    default:
      return [step];
  }
}

const LATER_MS = 30_000;

/** Whoever comes when all others are dead can work, finds what was there, and leaves it at rest. */
export async function checkSuccession(files: Files, now: number, clockMs: number, sight: Sight): Promise<void> {
  if (files.notes.has('succeeded')) return;
  files.notes.set('succeeded', true);
  const names = [...files.names.keys()];
  const key = `${files.keyOf(STORE_FILES)} ${files.names.has(LOCK)} ${names.filter((name) => name.includes('.tmp'))}`;
  if (succeeded.has(key)) return;
  const system = systemAlone(files, now + LATER_MS);
  const job = { ...SUCCESSOR, created_at: clockMs, updated_at: clockMs, run_at: clockMs };
  await run(system, [{ verb: 'create', job }, { verb: 'close' }], clockMs);
  const after = await look(system.files, now + LATER_MS, clockMs);
  assert.deepEqual(after.jobs, [...sight.jobs, job], 'whoever came next changed more than it was asked to');
  assert.deepEqual([after.dead, after.config], [sight.dead, sight.config]);
  assert.deepEqual(whole(system.files, 'queue.json'), after.jobs, 'queue.json is not the whole truth at rest');
  assert.deepEqual(whole(system.files, 'dlq.json'), after.dead, 'dlq.json is not the whole truth at rest');
  assert.equal(system.files.text(`${SIMULATED_DIR}/journal.ndjson`)?.split('\n').length, 2, 'the journal is not empty');
  const left = [...system.files.names.keys()].filter((name) => name.includes('.tmp') || name === LOCK);
  assert.deepEqual(left, [], 'something is left behind');
  succeeded.add(key);
}

const SUCCESSOR = {
  id: 'successor',
  command: 'true',
  state: 'pending',
  attempts: 0,
  max_retries: 3,
  processing_started_at: null,
  worker_id: null,
  last_error: null,
} as const;
