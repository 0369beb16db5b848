/** What the two ways of starting a command share, and the plain one of them: a child of this process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { errnoCode } from '../../utils/errors.js';
import { openToAppend } from '../../utils/files.js';
import { startTimeOf } from '../../utils/processIdentity.js';
import { writeGroupNote } from './groupNote.js';

/** What to run and where. Paths are absolute. */
export interface Run {
  readonly command: string;
  /** The directory it runs in; absent means this process's. */
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Its stdout and stderr are appended here; made with mode 0600. */
  readonly logFile: string;
  /** While the command runs this file notes its process group. No other command that runs has the same. */
  readonly groupNote: string;
  /** If this file is gone once the group is noted, the command does not begin. Only the fork server can promise that. */
  readonly guard?: string;
}

/** How a command ended. */
export type Ending =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: string }
  | {
      readonly kind: 'not started';
      readonly reason: string;
      /** It is not about this command: the disk is full. */
      readonly hindrance?: boolean;
    };

/** Is told what becomes of a command. */
export interface Progress {
  /**
   * It runs, as the leader of its own process group. Its group note has been written.
   *
   * @param logSize the bytes that were in the log file before
   */
  started(pid: number, logSize: number): void;
  /** Told once, and last. `not started` may come even after `started`. */
  ended(ending: Ending): void;
}

export interface Launcher {
  launch(run: Run, progress: Progress): void;
  /** Gives up what the launcher holds. */
  close(): void;
  /** To be called when a command that was ended is not said to have ended: whoever should say so is stuck. */
  giveUp(): void;
}

/** The longest piece of a command, in characters: UTF-8 makes of it less than the 128 KiB Linux takes in one argument. */
const PIECE_LENGTH = 30_000;

/**
 * The arguments that make `sh` run a command.
 *
 * A command too long for one argument is handed over in pieces, which the shell joins. The command does not notice: `$0`
 * is `sh`, no arguments are left, and its lines keep their numbers. But dash's messages begin with `sh: 1: eval:`.
 */
export function shellArguments(command: string): string[] {
  // What begins with - or + would be taken for an option.
  if (command.length <= PIECE_LENGTH) return /^[-+]/.test(command) ? ['-c', '--', command] : ['-c', command];
  const pieces = command.match(new RegExp(`.{1,${PIECE_LENGTH}}`, 'gsu')) ?? [];
  const joined = pieces.map((_, index) => `\${${index + 1}}`).join('');
  return ['-c', `eval "shift ${pieces.length};${joined}"`, 'sh', ...pieces];
}

/** This process's environment without what Node passes to its own kind. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const name of ['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'NODE_UNIQUE_ID']) delete env[name];
  return env;
}

export type Step = 'log' | 'note' | 'directory' | 'fork' | 'exec';

/** A disk that is full: it will have room again, and the job has no part in it. */
const HINDRANCES = new Set(['ENOSPC', 'EDQUOT']);

/** Words why a command could not be started. @param errno as the operating system numbers it, without a sign */
export function notStarted(run: Run, step: Step, errno: number): Ending {
  const doing: Record<Step, string> = {
    log: `cannot open the log file ${run.logFile}`,
    note: `cannot write ${run.groupNote}`,
    directory: `cannot enter the directory ${run.cwd}`,
    fork: 'cannot start a process',
    exec: 'cannot run /bin/sh',
  };
  const [code = '', message] = getSystemErrorMap().get(-errno) ?? [];
  const hindrance = HINDRANCES.has(code) && step !== 'directory' && step !== 'exec';
  return {
    kind: 'not started',
    reason: `${doing[step]}: ${message ?? `error ${errno}`}`,
    ...(hindrance ? { hindrance } : {}),
  };
}

/**
 * Starts commands as children of this process. They live on when it is killed, may begin before their group is noted,
 * and one that a real-time signal ends has exited with 0, for all that Node tells.
 */
export class SpawnLauncher implements Launcher {
  launch(run: Run, progress: Progress): void {
    let log: number;
    try {
      log = openToAppend(run.logFile);
    } catch (error) {
      progress.ended(notStarted(run, 'log', errnoOf(error)));
      return;
    }
    try {
      this.spawn(run, log, progress);
    } finally {
      closeSync(log);
    }
  }

  close(): void {}

  giveUp(): void {}

  private spawn(run: Run, log: number, progress: Progress): void {
    const failed = (error: unknown) => progress.ended(notStarted(run, spawnStep(run, error), errnoOf(error)));
    const logSize = fstatSync(log).size;
    let child: ChildProcess;
    try {
      child = spawn('/bin/sh', shellArguments(run.command), {
        argv0: 'sh',
        detached: true,
        env: { ...ownEnvironment(), ...run.env },
        stdio: ['ignore', log, log],
        ...(run.cwd === undefined ? {} : { cwd: run.cwd }),
      });
    } catch (error) {
      failed(error); // Node throws some codes and hands over others by an event
      return;
    }
    child.once('error', failed);
    const { pid } = child;
    if (pid === undefined) return;
    try {
      writeGroupNote(run.groupNote, { pgid: pid, startTime: startTimeOf(pid) ?? '' });
    } catch (error) {
      process.kill(-pid, 'SIGKILL');
      progress.ended(notStarted(run, 'note', errnoOf(error)));
      return;
    }
    child.once('exit', (code, signal) => {
      progress.ended(signal === null ? { kind: 'exited', code: code ?? 0 } : { kind: 'signaled', signal });
    });
    progress.started(pid, logSize);
  }
}

const NO_MORE_PROCESSES = new Set(['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE']);

/** What a spawn was doing when it failed: the code is all it tells. */
function spawnStep(run: Run, error: unknown): Step {
  const code = errnoCode(error) ?? '';
  if (NO_MORE_PROCESSES.has(code)) return 'fork';
  return code === 'E2BIG' || run.cwd === undefined ? 'exec' : 'directory';
}

function errnoOf(error: unknown): number {
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') return -error.errno;
  throw error;
}
