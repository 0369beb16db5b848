/** Runs one command and reports how it ended. It does not know that a queue exists. */
import { closeSync, constants } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import type { Outcome } from '../db/model/lifecycle.js';
import { errnoCode } from '../utils/errors.js';
import { openRegular, readTail } from '../utils/files.js';
import { ForkServer } from './run/forkServer.js';
import { clearGroupNote } from './run/groupNote.js';
import type { Ending, Launcher, Progress, Run } from './run/launcher.js';
import { LOOK_EVERY_MS, OutputLimit } from './run/outputLimit.js';
import { endGroup, groupExists } from './run/processGroup.js';
import { SpawnLauncher } from './run/spawnLauncher.js';

export type { Run };

/** A command that runs, or is about to. */
export interface RunningCommand {
  /** Whether it began: known some 10 ms after it has, or when it has ended. */
  readonly started: Promise<boolean>;
  /**
   * How it ended: known as soon as the shell exits with 0, whatever that left behind in the background. When it failed,
   * what it left behind is ended first.
   */
  readonly ended: Promise<Outcome>;
  /**
   * Ends it: SIGTERM to the whole group, SIGKILL after the grace period (milliseconds; with 0 at once).
   *
   * @returns when nothing of the group is left. Does nothing once the command has ended.
   */
  end(graceMs: number): Promise<void>;
}

export interface Limits {
  /** After so long the command is ended, and has timed out however it ends; 0 means that there is no limit. */
  readonly timeoutSeconds?: number;
  /** How long what is left of a command that failed or timed out has between SIGTERM and SIGKILL; milliseconds. */
  readonly graceMs?: number;
  /** What it prints beyond so many bytes is cut off; 0 means that there is no limit. */
  readonly maxOutputBytes?: number;
}

export class JobProcessor {
  constructor(private readonly launcher: Launcher = new ForkServer(new SpawnLauncher())) {}

  /**
   * Runs `/bin/sh -c command` as the leader of its own process group, with an empty stdin. What keeps it from being
   * started is an outcome like any other.
   */
  process(run: Run, { timeoutSeconds = 0, graceMs = GRACE_MS, maxOutputBytes = 0 }: Limits = {}): RunningCommand {
    const started = deferred<boolean>();
    const ending = deferred<Ending>();
    let group: number | undefined;
    let hasEnded = false;
    let isKeptShort = false;
    let timer: NodeJS.Timeout | undefined;
    let output: OutputLimit | undefined;
    let looks: NodeJS.Timeout | undefined;
    this.launch(maxOutputBytes > 0 ? { ...run, maxOutputBytes } : run, {
      started: (pgid) => {
        group = pgid;
        if (maxOutputBytes > 0) {
          output = new OutputLimit(run.logFile, maxOutputBytes);
          looks = setInterval(() => output?.enforce(), LOOK_EVERY_MS);
        }
        started.resolve(true);
      },
      ended: (how, keepsShort = false) => {
        hasEnded = true;
        isKeptShort = keepsShort;
        clearTimeout(timer);
        clearInterval(looks);
        started.resolve(how.kind !== 'not started');
        ending.resolve(how);
      },
    });
    const end = async (graceMs: number) => {
      const losePatience = () => {
        // A group that is still there may be another user's by now (sudo), whom nobody here can end: none is stuck then.
        if (group !== undefined && groupExists(group)) patience = setTimeout(losePatience, PATIENCE_MS);
        else this.launcher.giveUp();
      };
      let patience = setTimeout(losePatience, graceMs + PATIENCE_MS);
      await started.promise;
      if (group !== undefined && !hasEnded) await endGroup(group, graceMs);
      await ending.promise;
      clearTimeout(patience);
    };
    let timedOut = false;
    if (timeoutSeconds > 0 && !hasEnded) {
      timer = setTimeout(() => {
        timedOut = true;
        void end(graceMs);
      }, timeoutSeconds * 1000);
    }
    const ended = ending.promise.then(async (how): Promise<Outcome> => {
      const succeeded = hasSucceeded(how) && !timedOut;
      // What an attempt that failed has left behind must not meet the next one.
      if (group !== undefined && !succeeded) await endGroup(group, graceMs);
      clearGroupNote(run.groupNote);
      if (how.kind === 'not started') return how;
      const lastLine = succeeded ? '' : readLastLine(run.logFile);
      output?.enforce();
      if (output !== undefined && group !== undefined && !isKeptShort) keepShort(output, group);
      return timedOut ? { kind: 'timed out', seconds: timeoutSeconds, lastLine } : { ...how, lastLine };
    });
    return { started: started.promise, ended, end };
  }

  /** To be called when no command runs. */
  close(): void {
    this.launcher.close();
  }

  private launch(run: Run, progress: Progress): void {
    const texts = [run.command, run.cwd ?? '', ...Object.entries(run.env).flat()];
    if (texts.some((text) => text.includes('\0'))) {
      progress.ended({ kind: 'not started', reason: 'its command, directory or environment has a NUL character' });
    } else {
      this.launcher.launch(run, progress);
    }
  }
}

/** Cuts what a command has left behind prints, for as long as that and this process are there. */
function keepShort(output: OutputLimit, group: number): void {
  output.enforce();
  if (groupExists(group)) setTimeout(() => keepShort(output, group), LOOK_EVERY_MS).unref();
}

const GRACE_MS = 5000;
/** Within so long after it has ended a command is said to have. */
const PATIENCE_MS = 5000;
const TAIL_BYTES = 4096;
const LAST_LINE_CHARACTERS = 200;

const hasSucceeded = (ending: Ending) => ending.kind === 'exited' && ending.code === 0;

function readLastLine(logFile: string): string {
  let log: number | undefined;
  try {
    log = openRegular(logFile, constants.O_RDONLY);
    return lastLineOf(readTail(log, TAIL_BYTES));
  } catch (error) {
    const code = errnoCode(error);
    if (code === undefined) throw error;
    return `(its log cannot be read: ${code})`; // how the command ended is known, and must not be lost over this
  } finally {
    if (log !== undefined) closeSync(log);
  }
}

/** The last line of an output that has anything to show, as it can stand in a message. */
export function lastLineOf(output: Buffer): string {
  const lines = stripVTControlCharacters(output.toString()).split(/[\r\n]/);
  const shown = lines.map((line) =>
    line
      .replace(/\t/g, ' ')
      .replace(/\p{Cc}/gu, '')
      .trim(),
  );
  return [...(shown.findLast((line) => line !== '') ?? '')].slice(0, LAST_LINE_CHARACTERS).join('').trim();
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
