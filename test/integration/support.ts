/** A store of its own for each test, the built program to use it with, and the proof that nothing is left. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import type { DeadEntry } from '../../db/model/deadEntry.js';
import type { Job, JobState } from '../../db/model/job.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import { errnoCode } from '../../utils/errors.js';
import { PROGRAM, type RunResult, runCli, withoutAdvice } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { FileShelf, type Shelf, SqliteShelf } from './shelf.js';

const TEST_DEADLINE_MS = 300_000;

/** A command that waits until the test calls `go`. */
export const UNTIL_GO = 'until [ -e go ]; do sleep 0.05; done';

export type Counts = Record<'activeWorkers' | JobState, number>;

/**
 * A test with an empty store. It fails when it leaves a process, a lock, a worker record or a commit in the journal.
 *
 * @param run removes nothing; every process it starts has the store's directory in its environment
 * @param obstacle why it cannot be run here, if it cannot
 */
export function storeTest(title: string, run: (store: TestStore) => Promise<void>, obstacle?: string): void {
  test(title, { skip: obstacle ?? false }, async () => {
    const store = new TestStore();
    try {
      await before(TEST_DEADLINE_MS, run(store));
      await store.assertNothingLeft();
    } finally {
      await store.remove();
    }
  });
}

async function before<T>(deadlineMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the test took more than ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A command that stays for a while, and leads a process group of its own, as a shell would start it. */
export interface Foreground {
  readonly pid: number;
  output(): string;
  /** The exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/** Collects what a process writes, whose stdout and stderr are pipes. */
export function follow(child: ChildProcessByStdio<null, Readable, Readable>): Foreground {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? signal ?? ''));
  });
  return { pid: child.pid ?? 0, output: () => output, ended };
}

/** Which kind of store the tests are run on. */
const KIND = process.env.QUEUECTL_TEST_STORE ?? 'file';
assert.ok(KIND === 'file' || KIND === 'sqlite', `there is no store of kind ${KIND}`);

/** What differs between the kinds of stores. */
export const byKind = <T>(values: Readonly<Record<typeof KIND, T>>): T => values[KIND];

/** @param directory the one that is made for the store */
export const shelfAt = (directory: string): Shelf =>
  KIND === 'file' ? new FileShelf(directory) : new SqliteShelf(directory);

const onlyOnFiles = (reason: string) => (KIND === 'file' ? undefined : reason);
/** Why a test is not run on other stores, to be given as its obstacle; undefined where it is. */
export const aboutFiles = onlyOnFiles('it is about the files of a store in files');
/** The same, for what would take its time again and show nothing new. */
export const aboutNoStore = onlyOnFiles('it is the same on every store');

export class TestStore {
  /** Where the commands of the jobs run. */
  readonly root = mkdtempSync(join(tmpdir(), 'queuectl-test-'));
  /** What is made for the store when something is written to it for the first time. */
  readonly directory = join(this.root, 'data');
  /** Looks at it, and changes it, without asking the program. */
  readonly shelf: Shelf = shelfAt(this.directory);

  isThere(): boolean {
    return existsSync(this.directory);
  }

  /** At once: in a directory that is there workers make files. */
  removeStore(): void {
    renameSync(this.directory, `${this.directory}.gone`);
    rmSync(`${this.directory}.gone`, { recursive: true });
  }

  /** Where the outputs of jobs and the notes of workers are; of a store in files, all of it. */
  get dataDir(): string {
    return this.shelf.dataDir;
  }

  /** What names the store to a program. */
  get env(): Readonly<Record<string, string>> {
    return this.shelf.env;
  }

  run(args: readonly string[], input?: string): Promise<RunResult> {
    const { dataDir, env } = this.shelf;
    return runCli(args, { dataDir, env, cwd: this.root, ...(input === undefined ? {} : { input }) });
  }

  /** Runs a command that is to succeed. @returns what it prints */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    assert.deepEqual({ code, stderr: withoutAdvice(stderr) }, { code: 0, stderr: '' }, `queuectl ${args.join(' ')}`);
    return stdout;
  }

  /** Adds jobs in one transaction. */
  async enqueue(...jobs: readonly object[]): Promise<void> {
    const { stderr } = await this.run(['enqueue', '-'], jobs.map((job) => `${JSON.stringify(job)}\n`).join(''));
    assert.equal(withoutAdvice(stderr), '');
  }

  async counts(): Promise<Counts> {
    return JSON.parse(await this.ok('status', '--json'));
  }

  /** Starts workers in the background. @returns their pids */
  async startWorkers(...flags: string[]): Promise<number[]> {
    const started: { workers: { pid: number }[] } = JSON.parse(await this.ok('worker-start', '--json', ...flags));
    return started.workers.map(({ pid }) => pid);
  }

  /** Starts one worker in the foreground and waits until it is ready. */
  startForeground(...args: string[]): Promise<Foreground> {
    return this.start('Worker 1 started with PID: ', ...args);
  }

  /** Starts a command that stays, and waits until it has printed this. */
  async start(text: string, ...args: string[]): Promise<Foreground> {
    const { PATH } = process.env;
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      cwd: this.root,
      env: { PATH, ...this.shelf.env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = follow(child);
    await waitFor(() => started.output().includes(text));
    return started;
  }

  /** What is in the queue, without asking the program. */
  queue(): Job[] {
    return this.shelf.queue();
  }

  /** How many are completed, for who waits for that: to ask the program all the time takes as much time as to run it. */
  completed(): number {
    return this.queue().filter(({ state }) => state === 'completed').length;
  }

  dead(): DeadEntry[] {
    return this.shelf.dead();
  }

  config(): unknown {
    return this.shelf.config();
  }

  job(id: string): Job {
    const job = this.queue().find((found) => found.id === id);
    assert.ok(job, `${id} is in the queue`);
    return job;
  }

  /** The numbers in the journal of a store in files: those of its commits, and the first one that its header allows. */
  journal(): { first: number; commits: number[] } {
    assert.ok(this.shelf instanceof FileShelf, 'only a store in files has a journal');
    return this.shelf.journal();
  }

  /** What is on record of the processes of one kind, living or not. */
  records(role: WorkerRecord['role']): WorkerRecord[] {
    return this.shelf.workers().filter((record) => record.role === role);
  }

  private names(folder: string): string[] {
    const path = join(this.dataDir, folder);
    return existsSync(path) ? readdirSync(path) : [];
  }

  /** Lets the commands end that wait with `UNTIL_GO`. */
  go(): void {
    writeFileSync(join(this.root, 'go'), '');
  }

  /** Whether a command has made this file. */
  has(file: string): boolean {
    return existsSync(join(this.root, file));
  }

  /** When a command wrote to this file last; milliseconds, up to some 10 too early. */
  timeOf(file: string): number {
    return statSync(join(this.root, file)).mtimeMs;
  }

  /** The lines that commands have appended to this file. */
  lines(file: string): string[] {
    return this.has(file) ? readFileSync(join(this.root, file), 'utf8').trimEnd().split('\n') : [];
  }

  /** The processes that work for this store, the commands of jobs included. */
  processes(): Process[] {
    return processesNaming(this.root);
  }

  /** A command of three processes that goes on until it is ended. Its processes can be told by their command lines. */
  get endless(): string {
    const wait = `tail -f ${this.root}/wait`;
    return `: > wait; ${wait} & ${wait}`;
  }

  /** The processes of endless commands. */
  endlessProcesses(): Process[] {
    return this.processes().filter(({ commandLine }) => commandLine.includes(`${this.root}/wait`));
  }

  /** Waits until workers that run have removed what one has left that was killed while it registered. */
  async leftIsRemoved(): Promise<void> {
    await waitFor(() => !this.names('workers').some((name) => name.includes('.tmp')));
  }

  async assertNothingLeft(): Promise<void> {
    // A fork server ends a moment after its worker.
    await waitFor(() => this.processes().length === 0).catch(() => {
      assert.fail(`processes are left: ${this.processes().map(({ pid, commandLine }) => `${pid} ${commandLine}`)}`);
    });
    this.assertAtRest();
    assert.ok(!this.names('lock').includes('store'), 'a lock is left');
    assert.deepEqual(
      this.names('workers').filter((name) => name !== 'workers.log'),
      [],
      'notes of workers are left',
    );
    assert.deepEqual(
      this.names('.').filter((name) => name.includes('.tmp')),
      [],
      'temporary files are left',
    );
    assert.deepEqual(this.shelf.workers(), [], 'worker records are left');
  }

  /** Nobody works here, so the snapshot is to be the whole truth. */
  assertAtRest(): void {
    assert.ok(this.shelf.isAtRest(), 'something is left to be written');
    this.shelf.assertWhole();
  }

  async remove(): Promise<void> {
    await waitFor(() => {
      for (const { pid } of this.processes()) kill(pid);
      return this.processes().length === 0;
    });
    rmSync(this.root, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Ends a process that may have ended already. */
export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoCode(error) !== 'ESRCH') throw error;
  }
}

export interface Process {
  readonly pid: number;
  readonly commandLine: string;
  /** `NAME=value` and so on, with spaces between them. */
  readonly environment: string;
}

/** The living processes that have a text in their command line or their environment. */
function processesNaming(text: string): Process[] {
  const all = process.platform === 'linux' ? listProc() : listWithPs();
  return all.filter(
    ({ pid, commandLine, environment }) => pid !== process.pid && `${commandLine} ${environment}`.includes(text),
  );
}

function listProc(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => ({
    pid: Number(pid),
    commandLine: readProc(pid, 'cmdline'),
    environment: readProc(pid, 'environ'),
  }));
}

/** Empty for a process that has ended, is a zombie, or belongs to somebody else. */
function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').replaceAll('\0', ' ');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoCode(error) ?? '')) return '';
    throw error;
  }
}

function listWithPs(): Process[] {
  const output = execFileSync('ps', ['-axEww', '-o', 'pid=,command='], { encoding: 'utf8', maxBuffer: 1 << 26 });
  return output.split('\n').map((line) => {
    const [, pid = '', commandLine = '', environment = ''] = /^ *(\d+) (.*?)((?: [A-Z_]+=.*)?)$/.exec(line) ?? [];
    return { pid: Number(pid), commandLine, environment };
  });
}
