/** Runs programs that meet faults: each ends within a deadline, and its store is in memory where that is possible. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after } from 'node:test';
import { PROGRAM, withoutAdvice } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';

/** Whether every case is tried, which takes minutes, or the most telling ones. */
export const EVERY_CASE = process.env.QUEUECTL_CHAOS === '1';

const DEADLINE_MS = 30_000;

/** Waits for what takes a worker up to ten seconds, and longer on a busy machine. */
export const eventually = <T>(condition: () => T | Promise<T>) => waitFor(condition);

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** Without the advice to start a worker. */
  readonly stderr: string;
  readonly ms: number;
}

export interface Environment {
  /** All that a store has; of a store in files, what names it too. */
  readonly directory: string;
  /** What names another store. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly deadlineMs?: number;
}

export class LateError extends Error {}

/** The environment of a command that uses this store, and nothing else of this process's. */
export const environment = ({ directory, env = {} }: Environment) => ({
  PATH: process.env.PATH,
  HOME: '/',
  NODE_DISABLE_COMPILE_CACHE: '1', // the calls that fail here are to be queuectl's
  QUEUECTL_DATA_DIR: directory,
  ...env,
});

/**
 * Runs a program to its end.
 *
 * @throws LateError when it has not ended by the deadline; it and all it has started are killed then
 */
export async function run(command: readonly string[], options: Environment): Promise<Ended> {
  const [file = '', ...args] = command;
  const { deadlineMs = DEADLINE_MS, cwd = '/' } = options;
  const started = performance.now();
  const child = spawn(file, args, {
    cwd,
    env: environment(options),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, deadlineMs);
  const ended = new Promise<[number | null, NodeJS.Signals | null, number]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve([code, signal, performance.now() - started]));
  });
  const [[code, signal, ms], stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  clearTimeout(timer);
  if (isLate) throw new LateError(`not ended after ${deadlineMs} ms: ${command.join(' ')}\n${stdout}${stderr}`);
  return { code, signal, stdout, stderr: withoutAdvice(stderr), ms };
}

/** The command line that runs queuectl. */
export const queuectl = (...args: readonly string[]) => [process.execPath, PROGRAM, ...args];

/** Fails unless a command did what it was told, and had nothing to complain about. */
export function assertDone({ code, signal, stderr }: Ended, what: string): void {
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' }, what);
}

/** Fails unless a command said in one line what is wrong and what to do, and exited with 1. */
export function assertRefused({ code, signal, stdout, stderr }: Ended, what: string): void {
  assert.deepEqual({ code, signal, stdout }, { code: 1, signal: null, stdout: '' }, `${what}: ${stderr}`);
  assertOneLine(stderr, what);
}

/** Fails unless this is one line with a fact and a remedy. */
export function assertOneLine(stderr: string, what: string): void {
  assert.match(stderr, /^queuectl: (?!unexpected)[^\n]+\. [^\n]+\.\n$/, what);
}

/** @returns why what needs this tool is to be skipped, or false */
export function missing(tool = '', ...trial: readonly string[]): string | false {
  if (process.platform !== 'linux') return 'only on Linux';
  const { error, status, stderr } = spawnSync(tool, trial, { encoding: 'utf8' });
  if (error !== undefined) return `there is no ${tool}`;
  return status === 0 ? false : `${tool} cannot be used here: ${stderr.split('\n')[0]}`;
}

/** Does something to each, so many at a time. @returns the results in order */
export async function each<T, R>(items: readonly T[], width: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const takeTurns = async () => {
    while (next < items.length) {
      const at = next++;
      results[at] = await work(items[at] as T); // `at` is an index
    }
  };
  await Promise.all(Array.from({ length: width }, takeTurns));
  return results;
}

const made: string[] = [];

after(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
});

const MEMORY = '/dev/shm';

/** A directory for many stores, gone after the tests of this file. */
export function manyStores(): string {
  const dir = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'queuectl-test-'));
  made.push(dir);
  return dir;
}
