/**
 * Finds out what the real code of a process does next.
 *
 * The store calls the system synchronously, and what it does depends on nothing but what those calls return. So all that
 * happened to a process is the list of the answers it got. To see its next call, the code is run from its start, is given
 * these answers, and stands at the call that comes after them. It then goes on in a copy of the machine, as if nobody
 * else did anything, up to its next attempt to get the lock: those points are met, too, and need no run of their own.
 * What was seen once is kept in a tree, so that no list of answers is tried twice.
 *
 * A call that no other process can notice or influence is no point of its own: it is made together with the call before.
 */
import fs from 'node:fs';
import type { Role } from '../../db/store.js';
import { contentsOf, perform } from '../db/stores/file/steps.js';
import { fileStore } from '../helpers/testStore.js';
import type { ModelStep } from './promises.js';
import { type Answer, type Call, contentOf, FIRST_FD, type Stat } from './simulatedFs.js';

export interface Program {
  readonly dir: string;
  /** What the store takes for the time; the machine's clock is another. */
  readonly clockMs: number;
  readonly role: Role;
  readonly steps: readonly ModelStep[];
}

/** Where a process stands: what it waits to do, and what it has told the world so far. */
export interface Point {
  readonly id: number;
  /** Undefined at its end. */
  readonly call: Call | undefined;
  /** What each of its steps returned, as JSON. */
  readonly acknowledged: readonly string[];
  /** Equal for those who told the world the same. */
  readonly told: number;
  readonly failed: string | undefined;
  /** Whether it has found the lock taken and is about to look how old that is. */
  readonly looksAtLock: boolean;
  /** The modification time that it gave the lock last. */
  readonly signature: number | undefined;
  readonly parent: Point | undefined;
  readonly history: readonly Made[];
  readonly branches: Map<string, Branch>;
}

interface Made {
  readonly call: Call;
  readonly answer: Answer;
}

interface Quiet {
  readonly quiet: Call;
  readonly branches: Map<string, Branch>;
}

type Branch = Point | Quiet;

/** Makes a call of the process that is being run. */
export type Perform = (call: Call) => Answer;

/** The machine as the process that is being run sees it. */
export interface Machine {
  perform(call: Call): Answer;
  copy(): Machine;
}

/**
 * Takes a safeguard away by a lie about what a call returns.
 *
 * @param perform asks the system
 * @param signature the modification time that this process gave the lock last
 */
export type Lie = (call: Call, perform: Perform, signature: number | undefined) => Answer | undefined;

/** Ends a run: thrown by every call from the one on whose answer is not known. */
const ABANDONED = new Error('abandoned');

/** Of a process that goes on by itself for ever. */
const CALLS_MAX = 5000;
const FIRST_PID = 9_000_001;
const OWN_TEMP = /\.(9\d{6})-([0-9a-f]+)\.tmp(\.\d+)?$/;

let run: Run | undefined;
let points = 0;
let runs = 0;

export const counts = () => ({ points, runs });

export const pidOf = (process: number): number => FIRST_PID + process;

class Run {
  private next = 0;
  private readonly paths = new Map<number, string>();
  private readonly temps = new Map<string, number>();
  private readonly written = new Set<string>();
  /** Journals whose header has been read, and the file whose size was asked for last. */
  private readonly headed = new Set<number>();
  private readonly lock: string;
  private lastName = '';
  private foundLock = false;
  private touchedLock = false;
  private triedAt = -1;
  signature: number | undefined;
  /** The calls made beyond those that were known, since it stood somewhere. */
  made: Made[] = [];
  readonly acknowledged: string[] = [];
  failed: string | undefined;
  pending: Call | undefined;
  abandoned = false;
  /** Set when it found the lock taken: where it was before it looked. */
  backTo: number | undefined;

  constructor(
    readonly process: number,
    private readonly history: readonly Made[],
    private machine: Machine,
    /** Whether to go on in a copy of the machine; if absent, no call is one to stand at. */
    private readonly stand: ((run: Run) => boolean) | undefined,
    private readonly dir: string,
    private readonly isCoarse: boolean,
    private readonly lie: Lie | undefined,
  ) {
    this.lock = `${dir}/lock/store`;
  }

  /** What there is to know of a process that begins a transaction, perhaps over again, and keeps no view of the store. */
  get bareKey(): string | undefined {
    if (this.pending === undefined || !isTry(this.pending) || this.paths.size > 0) return undefined;
    return this.acknowledged.join('\n');
  }

  get looksAtLock(): boolean {
    const { pending } = this;
    return this.foundLock && pending?.name === 'stat' && pending.path === this.lock && pending.how !== 'bigint';
  }

  random(): number {
    return (this.process + 1) / 100;
  }

  /** Temporary files are numbered as they are made, whatever ran before in this process of ours. */
  named(path: string): string {
    const own = OWN_TEMP.exec(path);
    if (own === null) return path;
    const [suffix, , number = '', inner] = own;
    const known = this.temps.get(number) ?? this.temps.size + 1;
    this.temps.set(number, known);
    return `${path.slice(0, -suffix.length)}.${this.process + 1}-${known}.tmp${inner === undefined ? '' : '.1'}`;
  }

  /** Reads the clock. Its first reading in an attempt to get the lock is where a process that waits for it stands. */
  now(): number {
    const how = this.history[this.next]?.call.how ?? (isFirstOfTry() ? 'try' : '');
    return this.call({ name: 'now', how }).value as number;
  }

  call(call: Call): Answer {
    if (this.abandoned) throw ABANDONED;
    const known = this.history[this.next];
    if (known === undefined) this.haltAhead(call);
    else if (!isSame(known.call, call)) throw new Error(`not as before: ${show(call)}, and it was ${show(known.call)}`);
    this.noteCall(call);
    this.lastName = call.name;
    const perform: Perform = (made) => this.machine.perform(made);
    const answer = known?.answer ?? this.lie?.(call, perform, this.signature) ?? perform(call);
    if (known === undefined) this.made.push({ call, answer });
    if (this.made.length > CALLS_MAX) throw new Error('it makes calls without end');
    this.next += 1;
    this.noteAnswer(call, answer);
    if (answer.error !== undefined) throw Object.assign(new Error(show(call)), { code: answer.error });
    return answer;
  }

  private haltAhead(call: Call): void {
    if (this.stand === undefined) return;
    const hasOnlyLooked = call.name === 'wait' && !this.touchedLock;
    if (!hasOnlyLooked && this.isQuiet(call)) return;
    if (hasOnlyLooked) this.backTo = this.triedAt;
    this.pending = call;
    this.abandoned = !this.stand(this);
    if (this.abandoned) throw ABANDONED;
    this.machine = this.machine.copy();
    this.pending = undefined;
    this.made = [];
  }

  private noteCall(call: Call): void {
    if (isTry(call)) {
      this.triedAt = this.next;
      this.temps.clear();
      this.written.clear();
      this.touchedLock = false;
      this.foundLock = false;
    }
  }

  private noteAnswer({ name, path = '', to, how, fd = -1 }: Call, { error, value }: Answer): void {
    if (name === 'open' && error === undefined) {
      this.paths.set(value as number, path);
      this.headed.delete(value as number);
      if (how === 'w') this.written.add(path);
    }
    if (name === 'close') this.paths.delete(fd);
    if (name === 'read') this.headed.add(fd);
    if (name === 'rename' && error === undefined) this.written.add(to ?? '');
    if (to === this.lock && name === 'link') {
      this.foundLock = error === 'EEXIST';
      if (error === undefined) this.touchedLock = true;
    }
    if (path === this.lock && (name === 'unlink' || name === 'utimes') && error === undefined) {
      this.touchedLock = true;
      if (name === 'utimes') this.signature = Number(how);
    }
  }

  /** Whether no other process can notice the call, nor change what it returns but by the moment it began. */
  private isQuiet({ name, path = '', to, fd = -1, how }: Call): boolean {
    const opened = this.paths.get(fd) ?? '';
    const isJournal = opened.endsWith('/journal.ndjson');
    switch (name) {
      case 'now':
        return how !== 'try';
      case 'uptime':
      case 'wait':
      case 'kill':
      case 'close':
      case 'fsync':
      case 'ino':
      case 'mtime':
        return true;
      case 'open':
        return path === this.dir || (this.isCoarse && path.includes('.tmp'));
      case 'readdir':
        return path !== this.dir; // no worker comes or goes here
      case 'chmod':
        return this.written.has(path); // if the file was removed, the rename that comes next fails as this would
      case 'link':
        return to === this.lock; // it is made at once with the look at the clock before it
      case 'size':
        return !isJournal || !this.headed.has(fd); // other files, and a header, do not change once they have their name
      case 'read':
        return true; // of a range that ends where the file ended when its size was asked for, and is not changed later
      case 'write':
        return !isJournal;
      case 'rename':
        return this.isCoarse && to?.includes('.tmp') === true;
      case 'realpath':
      case 'stat':
        if (path.includes('.tmp')) return this.isCoarse || !this.written.has(path); // nobody else makes such a file
        return this.isCoarse && path === this.lock && this.lastName === 'utimes';
      default:
        return false;
    }
  }
}

const isTry = ({ name, how }: Call) => name === 'now' && how === 'try';
const isSame = (a: Call, b: Call) => a.name === b.name && a.path === b.path && a.to === b.to && a.content === b.content;

/** A call in words, for a schedule. */
export const show = ({ name, path, to, fd, content }: Call): string =>
  [name, path ?? fd, to, content?.bytes.toString('utf8').trimEnd()].filter((part) => part !== undefined).join(' ');

const ROOT = '/simulated';
const isSimulated = (path: unknown): path is string => typeof path === 'string' && path.startsWith(ROOT);
export const SIMULATED_DIR = `${ROOT}/store`;

function begin(run: Run, { dir, clockMs, role, steps }: Program): Promise<void> {
  const open = () => fileStore(dir, { clock: () => clockMs, role });
  const work = async () => {
    let store = open();
    for (const step of steps) {
      const result = (step.verb === 'contents' ? await contentsOf(store) : await perform(store, step)) ?? null;
      if (result instanceof Error) throw result; // what `close` returns when it could not fold
      if (step.verb === 'close') store = open();
      if (!run.abandoned) run.acknowledged.push(JSON.stringify(result));
    }
  };
  return work().catch((error: unknown) => {
    if (!run.abandoned) run.failed = String(error);
  });
}

export class Replay {
  /** Where it stood when it had nothing but what it has told the world. */
  private readonly bare = new Map<string, Point>();

  constructor(
    private readonly program: Program,
    private readonly process: number,
    /** Whether temporary files are made, and locks signed, in one go. */
    private readonly isCoarse: boolean,
    private readonly lie?: Lie,
  ) {}

  start(machine: Machine): Promise<Point> {
    return this.expand(undefined, new Map(), [], machine);
  }

  /**
   * Makes the call that a process waits to make, and the quiet ones after it.
   *
   * @returns where it stands then; a promise when that was not known yet
   */
  step(from: Point, machine: Machine): Point | Promise<Point> {
    if (from.call === undefined) throw new Error('a process that has ended makes no calls');
    const perform: Perform = (made) => machine.perform(made);
    const met: Made[] = [];
    let at: Branch = from;
    let call = from.call;
    for (;;) {
      const answer: Answer = this.lie?.(call, perform, from.signature) ?? perform(call);
      met.push({ call, answer });
      const branch: Branch | undefined = at.branches.get(answer.key);
      if (branch === undefined) return this.expand(from, at.branches, met, machine);
      if (!('quiet' in branch)) return branch;
      at = branch;
      call = branch.quiet;
    }
  }

  /**
   * Runs the code up to its next point, and on.
   *
   * @param branches of where the last of the answers in `met` was given
   * @returns its next point
   */
  private async expand(
    from: Point | undefined,
    branches: Map<string, Branch>,
    met: readonly Made[],
    machine: Machine,
  ): Promise<Point> {
    const before = [...(from?.history ?? []), ...met];
    let first: Point | undefined;
    let last: { point: Point | undefined; history: readonly Made[]; branches: Map<string, Branch> } = {
      point: from,
      history: before,
      branches,
    };
    const stand = (run: Run): boolean => {
      const [entered, quiet] = first === undefined ? [met.at(-1), run.made] : [run.made[0], run.made.slice(1)];
      const { point: parent, history } = last;
      const known = points;
      const point =
        run.backTo === undefined ? this.pointOf(run, parent, [...history, ...run.made]) : ancestor(parent, run.backTo);
      link(last.branches, entered?.answer.key ?? '', quiet, point);
      first ??= point;
      last = { point, history: point.history, branches: point.branches };
      return points > known && run.pending !== undefined && !isTry(run.pending);
    };
    const run = new Run(this.process, before, machine, stand, this.program.dir, this.isCoarse, this.lie);
    await execute(run, this.program);
    if (!run.abandoned) stand(run);
    if (first === undefined) throw new Error('it stands nowhere');
    return first;
  }

  private pointOf(made: Run, parent: Point | undefined, history: readonly Made[]): Point {
    const key = made.bareKey;
    const known = key === undefined ? undefined : this.bare.get(key);
    if (known !== undefined) return known;
    const point = pointOf(made, parent, history);
    if (key !== undefined) this.bare.set(key, point);
    return point;
  }
}

/** Keeps where the quiet calls after an answer lead. */
function link(from: Map<string, Branch>, answer: string, calls: readonly Made[], to: Point): void {
  let [branches, key] = [from, answer];
  for (const { call, answer } of calls) {
    const quiet: Quiet = { quiet: call, branches: new Map() };
    branches.set(key, quiet);
    branches = quiet.branches;
    key = answer.key;
  }
  branches.set(key, to);
}

function pointOf(made: Run, parent: Point | undefined, history: readonly Made[]): Point {
  points += 1;
  const { pending: call, failed, looksAtLock, signature } = made;
  const acknowledged = [...made.acknowledged];
  const told = toldId(`${made.process} ${acknowledged.join('\n')} ${call === undefined}`);
  return { id: points, call, acknowledged, told, failed, looksAtLock, signature, parent, history, branches: new Map() };
}

const toldIds = new Map<string, number>();
function toldId(told: string): number {
  const id = toldIds.get(told) ?? toldIds.size;
  toldIds.set(told, id);
  return id;
}

function ancestor(from: Point | undefined, age: number): Point {
  let point = from;
  while (point !== undefined && point.history.length > age) point = point.parent;
  if (point?.history.length !== age) throw new Error('a process went back to where it never was');
  return point;
}

/** Runs a program to its end by itself. */
export async function runAlone(
  program: Program,
  process: number,
  machine: Machine,
): Promise<{ acknowledged: string[]; failed: string | undefined }> {
  const alone = new Run(process, [], machine, undefined, program.dir, false, undefined);
  await execute(alone, program);
  return alone;
}

async function execute(next: Run, program: Program): Promise<void> {
  runs += 1;
  run = next;
  Object.defineProperty(process, 'pid', { value: pidOf(next.process), configurable: true });
  try {
    await begin(next, program);
  } finally {
    run = undefined;
  }
}

type Arguments = readonly unknown[];

/** What stands in for the functions of `fs` where they are about simulated files. */
const FS_CALLS: Record<string, (current: Run, args: Arguments) => unknown> = {
  openSync: (current, [path, flags]) =>
    current.call({ name: 'open', path: current.named(String(path)), how: howOf(flags) }).value,
  closeSync: (current, [fd]) => void current.call({ name: 'close', fd: fd as number }),
  fsyncSync: (current, [fd]) => void current.call({ name: 'fsync', fd: fd as number }),
  fdatasyncSync: (current, [fd]) => void current.call({ name: 'fsync', fd: fd as number }),
  fstatSync(current, [fd, options]) {
    const look = (name: string) => current.call({ name, fd: fd as number }).value as number;
    return statObject(options, {
      ino: () => look('ino'),
      size: () => look('size'),
      mtime: () => look('mtime'),
      ctime: () => Number.NaN,
      isDirectory: () => false,
    });
  },
  statSync: (current, args) => stat(current, args),
  lstatSync: (current, args) => stat(current, args),
  existsSync(current, [path]) {
    try {
      current.call({ name: 'stat', path: String(path) });
      return true;
    } catch (error) {
      if (error === ABANDONED) throw error;
      return false;
    }
  },
  readSync(current, [fd, buffer, offset, length, from]) {
    const call = { name: 'read', fd: fd as number, from: from as number, length: length as number };
    return (current.call(call).value as Buffer).copy(buffer as Buffer, offset as number);
  },
  readFileSync: (current, [fd]) => Buffer.from(current.call({ name: 'read', fd: fd as number }).value as Buffer),
  readdirSync: (current, [path]) => current.call({ name: 'readdir', path: String(path) }).value,
  writeSync: (current, [fd, bytes]) =>
    current.call({ name: 'write', fd: fd as number, content: contentOf(bytes as Buffer) }).value,
  renameSync: (current, [path, to]) =>
    void current.call({ name: 'rename', path: current.named(String(path)), to: current.named(String(to)) }),
  linkSync: (current, [path, to]) => void current.call({ name: 'link', path: String(path), to: String(to) }),
  rmSync(current, [path]) {
    try {
      current.call({ name: 'unlink', path: current.named(String(path)) });
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOENT') throw error;
    }
  },
  unlinkSync: (current, [path]) => void current.call({ name: 'unlink', path: current.named(String(path)) }),
  mkdirSync: (current, [path]) => void current.call({ name: 'mkdir', path: String(path) }),
  lutimesSync: (current, [path, seconds]) =>
    void current.call({ name: 'utimes', path: String(path), how: Math.round(Number(seconds) * 1e6) }),
  chmodSync: (current, [path]) => void current.call({ name: 'chmod', path: current.named(String(path)) }),
  realpathSync: (current, [path]) => {
    current.call({ name: 'realpath', path: current.named(String(path)) });
    return path;
  },
};

function stat(current: Run, [path, options]: Arguments): unknown {
  try {
    const how = (options as { bigint?: boolean } | undefined)?.bigint === true ? 'bigint' : '';
    const found = current.call({ name: 'stat', path: current.named(String(path)), how }).value as Stat;
    return statObject(options, {
      ino: () => found.ino,
      size: () => found.size,
      mtime: () => found.mtime,
      ctime: () => found.ctime,
      isDirectory: () => found.isDirectory,
    });
  } catch (error) {
    const isQuiet = (options as { throwIfNoEntry?: boolean } | undefined)?.throwIfNoEntry === false;
    if (isQuiet && (error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
}

function howOf(flags: unknown): string {
  if (typeof flags === 'string') return flags;
  return (Number(flags) & fs.constants.O_CREAT) === 0 ? 'r+' : 'a';
}

interface Lazy {
  readonly ino: () => number;
  readonly size: () => number;
  readonly mtime: () => number;
  readonly ctime: () => number;
  readonly isDirectory: () => boolean;
}

/** Like `fs.Stats`, but a call is only made for what is looked at. */
function statObject(options: unknown, { ino, size, mtime, ctime, isDirectory }: Lazy): object {
  const isBig = (options as { bigint?: boolean } | undefined)?.bigint === true;
  const as = (value: number) => (isBig ? BigInt(value) : value);
  return {
    isDirectory,
    isFile: () => !isDirectory(),
    get ino() {
      return as(ino());
    },
    get size() {
      return as(size());
    },
    get mtimeMs() {
      return mtime() / 1000;
    },
    get mtimeNs() {
      return BigInt(mtime()) * 1000n;
    },
    get ctimeMs() {
      return ctime();
    },
    get ctimeNs() {
      return BigInt(ctime()) * 1_000_000n;
    },
  };
}

/** Lets the code that is run see the machine instead of the system; all else goes on as before. */
export function installHooks(): void {
  Error.stackTraceLimit = 0; // errors are thrown by the million
  for (const [name, simulate] of Object.entries(FS_CALLS)) {
    const original: unknown = Reflect.get(fs, name);
    if (typeof original !== 'function') throw new Error(`node:fs has no ${name}`);
    Reflect.set(fs, name, (...args: unknown[]): unknown => {
      const [what] = args;
      if (!isSimulated(what) && !(typeof what === 'number' && what >= FIRST_FD))
        return Reflect.apply(original, fs, args);
      if (run === undefined) throw new Error(`${name} outside of a run`);
      return simulate(run, args);
    });
  }
  replace(Date, 'now', (original) => {
    if (run === undefined) return original();
    return run.now();
  });
  replace(process, 'hrtime', (original, args) => {
    if (run === undefined) return original(...args);
    const ms = run.call({ name: 'uptime' }).value as number;
    return [Math.floor(ms / 1000), (ms % 1000) * 1e6];
  });
  replace(process, 'kill', (original, args) => {
    if (run === undefined || args[1] !== 0) return original(...args);
    run.call({ name: 'kill', how: args[0] as number });
    return true;
  });
  replace(Math, 'random', (original) => run?.random() ?? original());
  replace(Atomics, 'wait', (original, args) => {
    if (run === undefined) return original(...args);
    run.call({ name: 'wait' });
    return 'timed-out';
  });
  // proper-lockfile's timer, which would fire while a section waits for something, and that of a later fold
  replace(globalThis, 'setTimeout', (original, args) => (run === undefined ? original(...args) : { unref() {} }));
}

function replace(
  owner: object,
  name: string,
  stand: (original: (...args: unknown[]) => unknown, args: unknown[]) => unknown,
): void {
  const original: unknown = Reflect.get(owner, name);
  if (typeof original !== 'function') throw new Error(`there is no ${name}`);
  const call = (...args: unknown[]): unknown => Reflect.apply(original, owner, args);
  Reflect.set(owner, name, (...args: unknown[]) => stand(call, args));
}

/** Whether the clock is read to begin an attempt to get the lock: in `moment`, called by `tryLock`. */
function isFirstOfTry(): boolean {
  const { stackTraceLimit, prepareStackTrace } = Error;
  let names: (string | null)[] = [];
  Error.stackTraceLimit = 6;
  Error.prepareStackTrace = (_error, calls) => {
    names = calls.map((call) => call.getFunctionName());
  };
  new Error().stack; // asking for it makes it
  Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  return names[names.indexOf('moment') + 1] === 'tryLock';
}
