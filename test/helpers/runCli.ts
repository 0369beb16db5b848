import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { errnoCode } from '../../utils/errors.js';

export const PROGRAM = join(import.meta.dirname, '..', '..', 'dist', 'queuectl.cjs');

export interface RunOptions {
  readonly dataDir: string;
  /** What it reads from stdin; nothing if absent. */
  readonly input?: string | Buffer;
  /** Added to an environment that has nothing but PATH and HOME, the latter being the data directory. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface RunResult {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What stderr has besides what is said where a queue is new, where no worker is, and by a `worker-stop` that has to wait. */
export const withoutAdvice = (stderr: string): string =>
  stderr
    .replace(/^queuectl: a new queue begins in .*\n/m, '')
    .replace(/^queuectl: no worker is running\. Start one: queuectl worker-start( --data-dir \S+)?\n/m, '')
    .replace(
      /^Waiting for .*\. `queuectl worker-stop --now` (ends what runs|also wakes what was stopped \(SIGSTOP\))\.\n/m,
      '',
    );

/** Runs the built program to its end. */
export function runCli(
  args: readonly string[],
  { dataDir, input = '', env = {}, cwd = process.cwd() }: RunOptions,
): Promise<RunResult> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    // The compiled code of Node.js would lie in the data directory.
    env: { PATH: process.env.PATH, HOME: dataDir, NODE_DISABLE_COMPILE_CACHE: '1', QUEUECTL_DATA_DIR: dataDir, ...env },
  });
  return resultOf(child, input);
}

/** Gives a process its input, and waits for its end. */
export async function resultOf(child: ChildProcessWithoutNullStreams, input: string | Buffer = ''): Promise<RunResult> {
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  child.stdin.on('error', (error) => {
    if (errnoCode(error) !== 'EPIPE') throw error; // it may end without having read its input
  });
  child.stdin.end(input);
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}
