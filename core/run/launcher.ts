/**
 * What starts commands, and what the two ways to do it share.
 *
 * Whichever way is taken: the output begins empty, and the process that is to become the command leads a group of its own,
 * notes it, and sees that the guard is there, before the command begins.
 */
import { getSystemErrorMap } from 'node:util';

/** What to run and where. Paths are absolute. */
export interface Run {
  readonly command: string;
  /** The directory it runs in; absent means this process's. */
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Its stdout and stderr go here: a file made anew with mode 0600. One that is there keeps what it has, but not its name. */
  readonly logFile: string;
  /** What it prints beyond so many bytes is to be cut off, also when whoever launched it is gone; absent: there is no limit. */
  readonly maxOutputBytes?: number;
  /** While the command runs this file notes its process group. No other command that runs has the same. */
  readonly groupNote: string;
  /** If this file is gone once the group is noted, the command does not begin. */
  readonly guard?: string;
}

/** How a command ended. */
export type Ending =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: string }
  | {
      readonly kind: 'not started';
      readonly reason: string;
      /** It is not about this command: the disk is full, or the worker may start none any more. */
      readonly hindrance?: boolean;
    };

/** Is told what becomes of a command. */
export interface Progress {
  /** It runs, or is about to, as the leader of its own process group. */
  started(pid: number): void;
  /**
   * Told once, and last. `not started` may come even after `started`.
   *
   * @param keepsShort whether the launcher itself cuts off what is printed by what the command has left behind
   */
  ended(ending: Ending, keepsShort?: boolean): void;
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
 *
 * @param name what `$0` is to be, where it cannot be given as the name that the shell is run by
 */
export function shellArguments(command: string, ...name: ['sh'] | []): string[] {
  // What begins with - or + would be taken for an option.
  const options = /^[-+]/.test(command) ? ['-c', '--'] : ['-c'];
  if (command.length <= PIECE_LENGTH) return [...options, command, ...name];
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

/** What the system is short of, it is short of for every job. */
export const SHORTAGES = new Set(['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE']);

/** What one path has, and no other of ours. */
const OF_THIS_PATH = new Set(['EISDIR', 'ELOOP', 'ENAMETOOLONG']);

/**
 * Whether a step has failed for no fault of the job's. It may name a directory that is wrong, be too long, or have put something
 * in the place of its output: if that did not count, it would be claimed again and again, ahead of the others.
 */
const HINDRANCES: Record<Step, (code: string) => boolean> = {
  log: (code) => !OF_THIS_PATH.has(code),
  note: () => true,
  directory: (code) => SHORTAGES.has(code),
  fork: () => true,
  exec: (code) => code !== 'E2BIG',
};

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
  const hindrance = HINDRANCES[step](code);
  return {
    kind: 'not started',
    reason: `${doing[step]}: ${message ?? `error ${errno}`}`,
    ...(hindrance ? { hindrance } : {}),
  };
}
