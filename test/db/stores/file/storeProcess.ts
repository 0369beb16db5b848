/** Starts `storeProgram.ts` and talks to it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { bundle } from '../../../helpers/bundle.js';
import type { Order, Report } from './storeProgram.js';

/** @returns the path of the program */
export const buildStoreProgram = (directory: string): Promise<string> =>
  bundle(join(import.meta.dirname, 'storeProgram.ts'), directory);

export class StoreProcess {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(program: string) {
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child = child;
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  order(order: Order): void {
    this.child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** Lets a process that waits go on. */
  resume(): void {
    this.child.stdin?.write('\n');
  }

  /** @returns its next report, or undefined once it has ended */
  async next(): Promise<Report | undefined> {
    const { value, done } = await this.lines.next();
    return done === true ? undefined : (JSON.parse(value) as Report);
  }

  /** @returns its reports up to the first that satisfies the condition, or to its end */
  async until(isLast: (report: Report) => boolean): Promise<Report[]> {
    const reports: Report[] = [];
    for (let report = await this.next(); report !== undefined; report = await this.next()) {
      reports.push(report);
      if (isLast(report)) break;
    }
    return reports;
  }

  async end(): Promise<void> {
    const { child } = this;
    const exited = child.exitCode !== null || child.signalCode !== null ? undefined : once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    assert.ok(child.exitCode !== null || child.signalCode !== null);
  }
}

export const isWaiting = (report: Report) => 'waitsAt' in report;
export const isDone = (report: Report) => 'done' in report;
