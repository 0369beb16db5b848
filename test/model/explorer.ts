/**
 * Goes through everything that can happen to some processes that work on one store: whoever can make its next call makes
 * it, in every order, until nothing new is found; the shortest way to a broken promise is found first.
 *
 * A process that is killed or stopped for ever is one that is not given another turn, so it needs no event of its own:
 * every order in which the others go on without it is among those gone through. What such a process does need is that
 * time passes, since a lock is taken from its holder only when it is old: see `Budget`.
 */
import type { Role } from '../../db/store.js';
import {
  checkCommits,
  checkList,
  checkOrder,
  checkSuccession,
  look,
  type ModelStep,
  type Progress,
  type Sight,
} from './promises.js';
import { type Lie, type Point, pidOf, Replay, SIMULATED_DIR, show } from './replay.js';
import { type Descriptors, type Files, NO_DESCRIPTORS, System } from './simulatedFs.js';

export interface Scenario {
  readonly name: string;
  /** What is done to the store, by one process and in peace, before the others come. */
  readonly before: readonly ModelStep[];
  /** Whether another process was killed then in the middle of a fold, and has left its lock. */
  readonly cutShort?: boolean;
  readonly processes: readonly {
    readonly role: Role;
    /** By whose clock every fold is due. */
    readonly late?: boolean;
    readonly steps: readonly ModelStep[];
  }[];
  readonly budget: Budget;
  /** How often a process may be halted though it could go on, for another to go on: in the short form and in the long. */
  readonly preemptions: readonly [short: number, long: number];
  /** Temporary files are made, and locks signed, in one go. */
  readonly coarse?: boolean;
  /** The processes do the same with different jobs, so that it does not matter which of them is the first. */
  readonly alike?: boolean;
}

/** How often time may pass while somebody could go on, for others to wait so long. */
export interface Budget {
  /** So much that even a lock whose holder lives is old. */
  readonly long: number;
  /** So much that the lock is old whose holder is dead, or is killed now. */
  readonly short?: number;
  /** So much that its holder renews it. */
  readonly brief?: number;
}

type Left = Required<Budget> & { readonly preemptions: number };

export interface Findings {
  readonly states: number;
  readonly steps: number;
  readonly ends: number;
  readonly failures: readonly [string, { count: number; readonly schedule: readonly string[] }][];
  /** The shortest schedule that breaks a promise, and which. */
  readonly broken?: { readonly promise: string; readonly schedule: readonly string[] };
}

interface Actor {
  /** Equal for equal actors. */
  readonly id: number;
  readonly point: Point;
  readonly descriptors: Descriptors;
  readonly isDead: boolean;
  /** What the store held when the read that is under way began. */
  readonly floor: Sight | undefined;
}

interface State {
  readonly files: Files;
  readonly now: number;
  readonly actors: readonly Actor[];
  readonly budget: Left;
  /** Who moved last. */
  readonly last: number;
  readonly index: number;
}

/** One process makes its next call, or time passes. */
interface Move {
  readonly actor: number | undefined;
  readonly passMs: number;
  readonly kills: number | undefined;
  readonly budget: Left;
}

export const CLOCK_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;
const START_MS = 1_800_000_000_000;
const LONG_MS = 11_000;
const SHORT_MS = 4000;
const BRIEF_MS = 2000;
/** As utils/lock.ts has them; they only tell whether it is worth while to look at the lock. */
const STALE_MS = 3000;
const STALE_IF_ALIVE_MS = 10_000;
const LOCK = `${SIMULATED_DIR}/lock/store`;

export class Explorer {
  private readonly replays: Replay[];
  private readonly ids = new Map<string, number>();
  private readonly cameFrom: { from: number; told: string }[] = [];
  private readonly checked = new Set<string>();
  private steps = 0;
  private ends = 0;
  private readonly hasReaders: boolean;
  private initial!: Sight;

  constructor(
    private readonly scenario: Scenario,
    private readonly files: Files,
    private readonly preemptions: number,
    lie?: Lie,
  ) {
    this.hasReaders = scenario.processes.some(({ steps }) => steps.some(({ verb }) => verb === 'list'));
    this.replays = scenario.processes.map(({ role, late = false, steps }, process) => {
      const clockMs = CLOCK_MS + (late ? HOUR_MS : 0);
      return new Replay({ dir: SIMULATED_DIR, clockMs, role, steps }, process, scenario.coarse === true, lie);
    });
  }

  async explore(): Promise<Findings> {
    this.initial = await look(this.files, START_MS, CLOCK_MS);
    let frontier: State[] = [await this.start()];
    while (frontier.length > 0) {
      const next: State[] = [];
      for (const state of frontier) {
        const moves = [...this.moves(state)];
        if (moves.length === 0) this.ends += 1;
        for (const move of moves) {
          let after: State | undefined;
          try {
            const found = this.make(state, move);
            after = found instanceof Promise ? await found : found;
            if (!this.isChecked(state, after)) await this.check(state, after);
            if (move.actor !== undefined && this.hasReaders) await this.checkRead(state, after, move.actor);
          } catch (error) {
            if (!(error instanceof Error)) throw error;
            return { ...this.found(), broken: { promise: error.message, schedule: this.schedule(state, move) } };
          }
          const index = this.add(after, state, move);
          if (index !== undefined) next.push({ ...after, index });
        }
      }
      frontier = next;
    }
    return this.found();
  }

  private found() {
    return { states: this.ids.size, steps: this.steps, ends: this.ends, failures: [...this.failures] };
  }

  private async start(): Promise<State> {
    const actors: Actor[] = [];
    for (const [process, replay] of this.replays.entries()) {
      const system = new System(
        this.files,
        NO_DESCRIPTORS,
        pidOf(process),
        START_MS,
        () => true,
        () => false,
      );
      const point = await replay.start(system);
      actors.push(identified({ point, descriptors: system.descriptors, isDead: false, floor: undefined }));
    }
    const { long, short = 0, brief = 0 } = this.scenario.budget;
    const budget = { long, short, brief, preemptions: this.preemptions };
    const state = { files: this.files.same, now: START_MS, actors, budget, last: -1, index: 0 };
    this.ids.set(keyOf(state), 0);
    this.cameFrom.push({ from: -1, told: '' });
    return state;
  }

  private *moves(state: State): Generator<Move> {
    const { files, now, actors, budget } = state;
    let any = false;
    const lastCan = actors[state.last] !== undefined && this.canMove(state, state.last);
    for (const [actor, { point }] of actors.entries()) {
      if (!this.canMove(state, actor)) continue;
      let left = budget;
      if (actor !== state.last && lastCan) {
        if (budget.preemptions === 0) continue;
        left = { ...budget, preemptions: budget.preemptions - 1 };
      }
      any = true;
      if (!isTry(point) || isFree(files, now, actors)) {
        yield { actor, passMs: 0, kills: undefined, budget: left };
        continue;
      }
      if (left.long > 0) yield { actor, passMs: LONG_MS, kills: undefined, budget: { ...left, long: left.long - 1 } };
      if (left.short > 0) {
        const signer = signerOf(files);
        const kills = signer !== undefined && signer !== actor && isRunning(actors[signer]) ? signer : undefined;
        if (signer !== actor) yield { actor, passMs: SHORT_MS, kills, budget: { ...left, short: left.short - 1 } };
      }
    }
    if (any && budget.brief > 0) {
      yield { actor: undefined, passMs: BRIEF_MS, kills: undefined, budget: { ...budget, brief: budget.brief - 1 } };
    }
  }

  /** A process that waits for the lock need not look while it would find it taken: that changes nothing. */
  private canMove({ files, now, actors, budget }: State, index: number): boolean {
    const actor = actors[index];
    if (actor === undefined || !isRunning(actor)) return false;
    if (this.scenario.alike && index > 0 && actors[index - 1]?.point.parent === undefined) return false;
    return !isTry(actor.point) || budget.long > 0 || budget.short > 0 || isFree(files, now, actors);
  }

  private readonly failures = new Map<string, { count: number; readonly schedule: readonly string[] }>();

  private noteFailure(failure: string, state: State, move: Move): void {
    const known = this.failures.get(failure);
    if (known !== undefined) known.count += 1;
    else this.failures.set(failure, { count: 1, schedule: this.schedule(state, move) });
  }

  private make(state: State, move: Move): State | Promise<State> {
    const { actor: index, passMs, kills, budget } = move;
    this.steps += 1;
    const now = state.now + passMs;
    let { actors } = state;
    if (kills !== undefined)
      actors = actors.map((actor, n) =>
        n === kills ? identified({ ...actor, isDead: true, descriptors: NO_DESCRIPTORS }) : actor,
      );
    if (index === undefined) return { ...state, actors, now, budget };
    const actor = actors[index];
    const replay = this.replays[index];
    if (actor === undefined || replay === undefined) throw new Error('there is no such process');
    const system = new System(
      state.files,
      actor.descriptors,
      pidOf(index),
      now,
      (pid) => isRunning(actors[pid - pidOf(0)]),
      (ino) => actors.some(({ descriptors }, n) => n !== index && isOpenIn(descriptors, ino)),
    );
    if (kills !== undefined) system.sweep();
    const settle = (point: Point): State => {
      if (point.failed !== undefined) this.noteFailure(`process ${index + 1} failed: ${point.failed}`, state, move);
      const hasEnded = point.call === undefined;
      const files = system.files.same;
      const descriptors = hasEnded ? NO_DESCRIPTORS : system.descriptors;
      const isReading = this.scenario.processes[index]?.steps[actor.point.acknowledged.length]?.verb === 'list';
      const hasRead = point.acknowledged.length > actor.point.acknowledged.length;
      const floor = isReading && !hasRead ? (actor.floor ?? (state.files.notes.get('sight') as Sight)) : undefined;
      const next = identified({ ...actor, point, descriptors, floor });
      const others = actors.map((other, n) => (n === index ? next : other));
      return { files, now, actors: others, budget, last: index, index: -1 };
    };
    const point = replay.step(actor.point, system);
    return point instanceof Promise ? point.then(settle) : settle(point);
  }

  private add(state: State, from: State, move: Move): number | undefined {
    const key = keyOf(state);
    if (this.ids.has(key)) return undefined;
    const index = this.ids.size;
    this.ids.set(key, index);
    this.cameFrom.push({ from: from.index, told: tell(from, move) });
    return index;
  }

  private isChecked(before: State, after: State): boolean {
    const key = `${before.files.id} ${after.files.id} ${after.actors.map(({ point }) => point.told).join(' ')}`;
    if (this.checked.has(key)) return true;
    this.checked.add(key);
    return false;
  }

  private async check(before: State, after: State): Promise<void> {
    const sight = await look(after.files, after.now, CLOCK_MS);
    if (after.files !== before.files) {
      checkOrder(await look(before.files, before.now, CLOCK_MS), sight, this.initial.config);
    }
    checkCommits(sight, this.initial, this.progress(after));
    await checkSuccession(after.files, after.now, CLOCK_MS, sight);
  }

  /** A list shows no job older than when the read began, and none younger than it is now. */
  private async checkRead(before: State, after: State, index: number): Promise<void> {
    const [was, is] = [before.actors[index], after.actors[index]];
    const read = was?.point.acknowledged.length ?? 0;
    const list = is?.point.acknowledged[read];
    if (list === undefined || this.scenario.processes[index]?.steps[read]?.verb !== 'list') return;
    const ceiling = await look(after.files, after.now, CLOCK_MS);
    checkList(list, was?.floor ?? (await look(before.files, before.now, CLOCK_MS)), ceiling);
  }

  private progress({ actors }: State): Progress[] {
    return actors.map(({ point }, process) => ({
      steps: this.scenario.processes[process]?.steps ?? [],
      acknowledged: point.acknowledged,
    }));
  }

  private schedule(last: State, move: Move): string[] {
    const told = [tell(last, move)];
    for (let at = this.cameFrom[last.index]; at !== undefined && at.from !== -1; at = this.cameFrom[at.from]) {
      told.push(at.told);
    }
    return told.reverse();
  }
}

const isTry = ({ call }: Point) => call?.name === 'now' && call.how === 'try';

const isRunning = (actor: Actor | undefined): boolean => actor?.point.call !== undefined && !actor.isDead;

function isOpenIn({ open }: Descriptors, ino: number): boolean {
  for (const other of open.values()) if (other === ino) return true;
  return false;
}

/** Which process signed the lock. */
function signerOf({ names, inodes }: Files): number | undefined {
  const inode = inodes.get(names.get(LOCK) ?? -1);
  return inode === undefined ? undefined : Math.floor(inode.mtime / 1e6) - pidOf(0);
}

/** Whether the lock is there to be taken. */
function isFree(files: Files, now: number, actors: readonly Actor[]): boolean {
  const inode = files.inodes.get(files.names.get(LOCK) ?? -1);
  if (inode === undefined) return true;
  const ageMs = now - inode.ctime;
  return ageMs >= STALE_IF_ALIVE_MS || (ageMs >= STALE_MS && !isRunning(actors[signerOf(files) ?? -1]));
}

const actorIds = new Map<string, number>();

function identified({ point, descriptors, isDead, floor }: Omit<Actor, 'id'>): Actor {
  const open = [...descriptors.open].map(([fd, ino]) => `${fd}=${ino}`).join(',');
  const key = `${isDead ? 'dead' : point.id} ${descriptors.lastIno} ${floor?.id} ${open}`;
  const id = actorIds.get(key) ?? actorIds.size;
  actorIds.set(key, id);
  return { id, point, descriptors, isDead, floor };
}

function keyOf({ files, now, actors, budget, last }: State): string {
  const { long, short, brief, preemptions } = budget;
  const turn = preemptions === Number.POSITIVE_INFINITY ? '' : `${last} ${preemptions}`;
  return `${files.id} ${now - START_MS} ${long} ${short} ${brief} ${turn}|${actors.map(({ id }) => id).join(' ')}`;
}

function tell({ actors }: State, { actor, passMs, kills }: Move): string {
  const parts: string[] = [];
  if (kills !== undefined) parts.push(`process ${kills + 1} is killed`);
  if (passMs > 0) parts.push(`${passMs / 1000} s pass`);
  const call = actor === undefined ? undefined : actors[actor]?.point.call;
  if (actor !== undefined && call !== undefined)
    parts.push(`${actor + 1}: ${show(call).replaceAll(`${SIMULATED_DIR}/`, '')}`);
  return parts.join('; ');
}
