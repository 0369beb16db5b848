/**
 * A process that works on a store and can be ended or stopped ahead of any of its calls to the file system.
 * Reads an `Order` a line from stdin and prints a `Report` a line to stdout; both synchronously, so that a process that
 * waits is as good as stopped.
 */
import fs from 'node:fs';
import { fileStore, type TestOptions } from '../../../helpers/testStore.js';
import { type FsCall, names, onFsCall } from './fsCalls.js';
import { contentsOf, perform, type Step } from './steps.js';

export interface Order {
  readonly dir: string;
  /** The time by the store's clock at the first step; an hour passes with each. */
  readonly now: number;
  readonly role?: TestOptions['role'];
  readonly steps: readonly Step[];
  readonly halt?: Halt;
  /** Where it waits once more, after the first halt. */
  readonly thenHalt?: Halt;
  readonly reportContents?: boolean;
}

/**
 * Ahead of the call with this number, from 0, or of the next with this name on this file. A process that is to be killed
 * dies in the middle of a write, and only calls that matter to those who come after it count.
 */
export interface Halt {
  readonly how: 'kill' | 'wait';
  readonly at: number | readonly [name: string, file: string];
}

export type Report =
  | { readonly acknowledged: unknown; readonly contents?: unknown }
  | { readonly failed: string }
  | { readonly waitsAt: string }
  | { readonly done: true; readonly calls: number };

const HOUR_MS = 3_600_000;
const FATAL_CALLS = ['writeSync', 'renameSync', 'unlinkSync'];
const { readSync, writeSync } = fs;

const report = (line: Report) => writeSync(1, `${JSON.stringify(line)}\n`);

function readLine(): string {
  const bytes: number[] = [];
  const byte = Buffer.alloc(1);
  while (readSync(0, byte, 0, 1, null) === 1) {
    if (byte[0] === 0x0a) return Buffer.from(bytes).toString('utf8');
    bytes.push(byte[0] ?? 0);
  }
  return '';
}

function halted(halt: Halt, call: FsCall): void {
  if (halt.how === 'wait') {
    report({ waitsAt: `${call.name} ${String(call.args[call.name === 'renameSync' ? 1 : 0])}` });
    readLine();
    return;
  }
  const [fd, bytes] = call.args;
  if (call.name === 'writeSync' && typeof fd === 'number' && Buffer.isBuffer(bytes)) {
    writeSync(fd, bytes, 0, Math.floor(bytes.length / 2));
  }
  process.kill(process.pid, 'SIGKILL');
}

async function carryOut(order: Order): Promise<void> {
  const { dir, now, role = 'command', steps, halt, thenHalt, reportContents = false } = order;
  const halts = [halt, thenHalt].filter((one) => one !== undefined);
  let calls = 0;
  const end = onFsCall((call) => {
    const next = halts[0];
    if (next !== undefined && (next.how === 'wait' || FATAL_CALLS.includes(call.name))) {
      const isIt =
        typeof next.at === 'number' ? calls === next.at : call.name === next.at[0] && names(call, next.at[1]);
      calls += 1;
      if (isIt) {
        halts.shift();
        halted(next, call);
      }
    }
    return /^f(data)?syncSync$/.test(call.name) ? { result: undefined } : undefined; // no power is cut here
  });
  let passed = 0;
  const open = () => fileStore(dir, { clock: () => now + passed * HOUR_MS, role });
  let store = open();
  try {
    for (const step of steps) {
      const acknowledged = (await perform(store, step)) ?? null;
      passed += 1;
      if (step.verb === 'close') store = open();
      report({ acknowledged, ...(reportContents ? { contents: await contentsOf(fileStore(dir)) } : {}) });
    }
  } catch (error) {
    report({ failed: String(error) });
  } finally {
    end();
  }
  report({ done: true, calls });
}

for (let line = readLine(); line !== ''; line = readLine()) await carryOut(JSON.parse(line) as Order);
