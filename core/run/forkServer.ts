/**
 * Starts commands through a small perl process that forks them. Measured: of this process's time, a command takes 0.2 ms
 * so, and 0.7 ms when Node spawns it.
 *
 * The server is one process for each worker, in its own session, so that a terminal's signals do not reach it. When the
 * worker dies, the server kills every command's group. forkServer.pl describes the messages.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { monotonicMs } from '../../utils/clock.js';
import { nextTurn } from '../../utils/delay.js';
import { errnoCode, refusalOf } from '../../utils/errors.js';
import { startTimeOf } from '../../utils/processIdentity.js';
import { isLeader, readGroupNote } from './groupNote.js';
import {
  type Ending,
  type Launcher,
  notStarted,
  ownEnvironment,
  type Progress,
  type Run,
  type Step,
  shellArguments,
} from './launcher.js';
import { cutMark } from './outputLimit.js';
import { endGroup } from './processGroup.js';

const SCRIPT = fileURLToPath(new URL('./forkServer.pl', import.meta.url));

/** A server that could not start is tried again after this pause; it doubles up to the second figure. */
const START_AGAIN_MS = [1000, 600_000] as const;
/** It takes some 20 ms to start; one that takes so long has failed. */
const READY_WITHIN_MS = 5000;

type Perl = ChildProcessByStdio<Writable, Readable, null>;

/** A command that the server was asked to run. */
interface Request {
  readonly run: Run;
  readonly progress: Progress;
  /** The leader of its group, once it has been told of. */
  pid?: number;
}

export class ForkServer implements Launcher {
  private perl: Perl | undefined;
  private isReady = false;
  /** When it may be started again, by the monotonic clock, and how often in a row it could not. */
  private startAt = process.platform === 'linux' ? 0 : Number.POSITIVE_INFINITY; // elsewhere there are no pidfds
  private failures = 0;
  private lastId = 0;
  /** Some variables change what perl does; they are for the commands only. */
  private forCommands: Readonly<Record<string, string>> = {};
  private readonly requests = new Map<string, Request>();

  /** @param fallback starts the commands while the server cannot run: it needs perl and Linux 5.9 or newer */
  constructor(private readonly fallback: Launcher) {}

  launch(run: Run, progress: Progress): void {
    if (this.perl === undefined && monotonicMs() >= this.startAt) this.perl = this.startPerl();
    if (this.perl === undefined) {
      this.fallback.launch(run, progress);
      return;
    }
    this.lastId += 1;
    const id = String(this.lastId);
    this.requests.set(id, { run, progress });
    if (this.requests.size === 1) keepsAwake(this.perl, true);
    this.perl.stdin.write(encode(id, { ...run, env: { ...this.forCommands, ...run.env } }));
  }

  close(): void {
    this.perl?.stdin.end();
    this.fallback.close();
  }

  giveUp(): void {
    this.perl?.kill('SIGKILL');
  }

  /** @returns undefined when it cannot be started now */
  private startPerl(): Perl | undefined {
    let perl: Perl;
    try {
      const { perls, others } = partEnvironment();
      this.forCommands = perls;
      perl = spawn('perl', [SCRIPT], { detached: true, env: others, stdio: ['pipe', 'pipe', 'ignore'] });
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
      this.startLater(); // Node throws some codes and hands over others by an event
      return undefined;
    }
    perl.once('error', () => {
      // It has no pid then, or could not be sent a signal as it has ended.
    });
    const { pid } = perl;
    if (pid === undefined) {
      this.startLater();
      return undefined;
    }
    this.isReady = false;
    const limit = setTimeout(async () => {
      await nextTurn(); // this process may have been stopped, and not have heard yet
      if (this.perl === perl && !this.isReady) void endGroup(pid, 0); // its stdout closes then
    }, READY_WITHIN_MS);
    limit.unref();
    let rest = '';
    perl.stdout.setEncoding('latin1').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.receive(line);
      if (this.requests.size === 0) keepsAwake(perl, false);
    });
    perl.stdout.once('close', () => this.lose());
    perl.stdin.on('error', () => {
      // The server is gone, and the end of its stdout will tell what became of the commands.
    });
    perl.unref();
    return perl;
  }

  /** Whether it is perl that is not there, or a system that was short of something, is not to be told for certain. */
  private startLater(): void {
    this.startAt = monotonicMs() + Math.min(START_AGAIN_MS[0] * 2 ** this.failures, START_AGAIN_MS[1]);
    this.failures += 1;
  }

  private receive(line: string): void {
    const [kind, id = '', ...values] = line.split(' ');
    if (kind === 'ready') {
      this.isReady = true;
      this.failures = 0;
    }
    const request = this.requests.get(id);
    if (request === undefined) return; // the end of a process that could not become its command
    const { run, progress } = request;
    if (kind === 'failed') {
      const [step, errno] = [values[0] as Step, Number(values[1])]; // forkServer.pl uses the names of Step
      this.requests.delete(id);
      progress.ended(notStarted(run, step, errno));
      return;
    }
    const [pid, status] = values.map(Number) as [number, number?]; // as forkServer.pl says
    if (request.pid === undefined) progress.started(pid);
    request.pid = pid;
    if (status === undefined) return;
    this.requests.delete(id);
    progress.ended(endingOf(status), true);
  }

  /**
   * The server has ended, and so have those of its children that had not become a command yet: they held its stdout,
   * too. So a command that is not noted never started, nor will it, and can be started in the other way.
   */
  private lose(): void {
    if (!this.isReady) this.startLater();
    this.perl = undefined;
    const lost = [...this.requests.values()];
    this.requests.clear();
    for (const { run, progress, pid } of lost) {
      let pgid = pid;
      try {
        pgid ??= notedGroup(run.groupNote);
      } catch (error) {
        progress.ended({ kind: 'not started', reason: refusalOf(error).fact, hindrance: true });
        continue;
      }
      if (pgid === undefined) {
        this.fallback.launch(run, progress);
        continue;
      }
      if (pid === undefined) progress.started(pgid);
      void endGroup(pgid, 0).then(() => progress.ended({ kind: 'signaled', signal: 'SIGKILL' }));
    }
  }
}

function partEnvironment() {
  const parts: Record<'perls' | 'others', Record<string, string>> = { perls: {}, others: {} };
  for (const [name, value = ''] of Object.entries(ownEnvironment())) {
    parts[name.startsWith('PERL') ? 'perls' : 'others'][name] = value;
  }
  return parts;
}

/** The group that a note tells of, unless its leader's pid is another process's by now. */
function notedGroup(note: string): number | undefined {
  const group = readGroupNote(note);
  if (group === undefined) return undefined;
  const startTime = startTimeOf(group.pgid);
  return startTime === undefined || isLeader(group, startTime) ? group.pgid : undefined;
}

/** One request as forkServer.pl reads it. */
function encode(id: string, run: Run): Buffer {
  const variables = Object.entries(run.env).map(([name, value]) => `${name}=${value}`);
  const fields = [
    id,
    run.cwd ?? '',
    run.logFile,
    ...limitOf(run),
    run.groupNote,
    run.guard ?? '',
    String(variables.length),
    ...variables,
    ...shellArguments(run.command),
  ];
  const text = fields.join('\0');
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(4 + length);
  frame.writeUInt32BE(length);
  frame.write(text, 4);
  return frame;
}

const limitOf = ({ maxOutputBytes }: Run) =>
  maxOutputBytes === undefined ? ['', ''] : [String(maxOutputBytes), cutMark(maxOutputBytes)];

/** Whether waiting for the server keeps this process from ending by itself: only while a command runs. */
function keepsAwake({ stdout }: Perl, isBusy: boolean): void {
  if (!(stdout instanceof Socket)) return;
  if (isBusy) stdout.ref();
  else stdout.unref();
}

// Some signals have two names; the first is the usual one.
const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
);

/** @param status as wait(2) gives it */
function endingOf(status: number): Ending {
  const signal = status & 0x7f;
  if (signal === 0) return { kind: 'exited', code: status >> 8 };
  return { kind: 'signaled', signal: SIGNAL_NAMES.get(signal) ?? `signal ${signal}` };
}
