/**
 * The ground that the figures stand on: a temporary directory and processes, none of which outlives the run.
 *
 * Everything started here has the directory's path in its environment, and passes it on to what it starts in turn. A
 * guardian, out of reach of Ctrl-C, waits until this process ends, whatever ends it; then it kills all that has the mark
 * and removes the directory.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const PROJECT = join(import.meta.dirname, '..', '..');
const MARK = 'QUEUECTL_BENCH';
const GUARDIAN = `
  cat >/dev/null
  quiet=0
  while [ $quiet -lt 2 ]; do
    if [ -d /proc/self ]; then left=$(grep -lzxF "$MARKED" /proc/[0-9]*/environ | cut -d/ -f3)
    else left=$(pgrep -f "$ROOT")
    fi
    if [ -z "$left" ]; then quiet=$((quiet + 1)); else quiet=0; kill -9 $left; fi
    sleep 0.02
  done
  rm -rf "$ROOT"`;

export interface RunOptions {
  /** The file that is its stdin; nothing if absent. */
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Ran {
  /** From the spawn to the exit. */
  readonly ms: number;
  readonly stdout: string;
}

export class Bench {
  private readonly root = fs.mkdtempSync(join(tmpdir(), 'queuectl-bench-'));
  private made = 0;
  private readonly guardian: ChildProcess;

  /** @param full whether the run may take its time: large sizes, many rounds */
  constructor(readonly full: boolean) {
    this.guardian = spawn('/bin/sh', ['-c', GUARDIAN], {
      detached: true,
      env: { PATH: process.env.PATH, ROOT: this.root, MARKED: `${MARK}=${this.root}` },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  }

  /** Ends what is left and removes the temporary directory. */
  async close(): Promise<void> {
    this.guardian.stdin?.end();
    await once(this.guardian, 'exit');
  }

  /** A path in the temporary directory where nothing is yet. */
  newPath(): string {
    this.made += 1;
    return join(this.root, String(this.made));
  }

  newDirectory(): string {
    const path = this.newPath();
    fs.mkdirSync(path);
    return path;
  }

  /** A file of lines, each made from its number. */
  fileOf(lines: number, line: (at: number) => string): string {
    const path = this.newPath();
    fs.writeFileSync(path, Array.from({ length: lines }, (_, at) => `${line(at)}\n`).join(''));
    return path;
  }

  /** Nothing of this process's environment but PATH, so that nothing of it (NODE_OPTIONS, say) is measured. */
  private environment(own: RunOptions['env']): NodeJS.ProcessEnv {
    return { PATH: process.env.PATH, HOME: this.root, TMPDIR: this.root, [MARK]: this.root, ...own };
  }

  /** Runs a program to its end. @throws Error with what it wrote to stderr, unless it exits with 0 */
  async run(program: string, args: readonly string[], { stdin, env, cwd = this.root }: RunOptions = {}): Promise<Ran> {
    const output = this.newPath();
    // Files and not pipes: a daemon that the program leaves behind may keep a pipe open for ever.
    const stdio = [
      fs.openSync(stdin ?? '/dev/null', 'r'),
      fs.openSync(`${output}.out`, 'w'),
      fs.openSync(`${output}.err`, 'w'),
    ];
    try {
      const began = performance.now();
      const child = spawn(program, args, { cwd, env: this.environment(env), stdio });
      const ending = await new Promise((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code, signal) => resolve(signal ?? code));
      });
      const ms = performance.now() - began;
      if (ending !== 0) {
        const text = fs.readFileSync(`${output}.err`, 'utf8').trim();
        throw new Error(`${[program, ...args].join(' ')} ended with ${ending}: ${text}`);
      }
      return { ms, stdout: fs.readFileSync(`${output}.out`, 'utf8') };
    } finally {
      for (const descriptor of stdio) fs.closeSync(descriptor);
      for (const end of ['out', 'err']) fs.rmSync(`${output}.${end}`);
    }
  }

  /** Starts a program that stays until `end` is called. */
  start(program: string, args: readonly string[]): { readonly pid: number; end(): void } {
    const child = spawn(program, args, { cwd: this.root, env: this.environment({}), stdio: 'ignore' });
    if (child.pid === undefined) throw new Error(`${program} cannot be started`);
    return { pid: child.pid, end: () => child.kill() };
  }
}

/** Whether a program is installed. */
export const isInstalled = (program: string) =>
  spawnSync('/bin/sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
