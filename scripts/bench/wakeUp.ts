/**
 * From the return of `enqueue` to the start of its command, on an idle worker.
 *
 * The job is enqueued by the library, in this process: a command line still has to end after its enqueue has returned,
 * and the job begins meanwhile. The command writes a line into a named pipe, for which sh needs no other program, and has
 * begun when the line arrives here. So the figure contains the start of sh and the waking of this process. What these
 * take is measured by itself, and not subtracted.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type * as Library from '../../core/index.js';
import packageJson from '../../package.json' with { type: 'json' };
import { type Bench, PROJECT } from './bench.js';
import { BenchStore } from './benchStore.js';
import { digits, type Figure, median, quantile, type Row } from './figure.js';
import { until } from './until.js';

/** Between two jobs, so that no two of them meet the worker at the same point of what it does by the clock. */
const PAUSE_MS = [10, 40] as const;

/** A named pipe, and when a line arrives in it. */
class Bell {
  /** Rings it. */
  readonly command: string;
  private readonly socket: Socket;

  constructor(bench: Bench) {
    const path = bench.newPath();
    execFileSync('mkfifo', [path]);
    this.command = `echo >${path}`;
    // Open for writing too, or the pipe would end with its first writer.
    this.socket = new Socket({ fd: fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_NONBLOCK) });
  }

  rings(): Promise<number> {
    return new Promise((resolve) => this.socket.once('data', () => resolve(performance.now())));
  }

  close(): void {
    this.socket.destroy();
  }
}

async function latencies(bench: Bench, samples: number): Promise<number[]> {
  const { openQueue }: typeof Library = await import(
    pathToFileURL(join(PROJECT, packageJson.exports['.'].default)).href
  );
  const store = new BenchStore(bench);
  const bell = new Bell(bench);
  await store.startWorkers(1);
  const queue = openQueue({ dataDir: store.dataDir });
  const taken: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const rings = bell.rings();
    await queue.enqueue({ command: bell.command });
    const returned = performance.now();
    taken.push((await rings) - returned);
    await until('the job is completed', async () => (await queue.counts()).completed > sample);
    await delay(PAUSE_MS[0] + Math.random() * (PAUSE_MS[1] - PAUSE_MS[0]));
  }
  await queue.close();
  await store.stopWorkers();
  bell.close();
  return taken;
}

/** What the way of measuring adds: from the start of the same command by this process to the arrival of its line. */
async function ownCost(bench: Bench, samples: number): Promise<number> {
  const bell = new Bell(bench);
  const taken: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const rings = bell.rings();
    bench.start('/bin/sh', ['-c', bell.command]);
    const started = performance.now();
    taken.push((await rings) - started);
  }
  bell.close();
  return median(taken);
}

export const wakeUp: Figure = {
  name: 'wake-up',
  async measure(bench) {
    const samples = bench.full ? 500 : 60;
    const rounds: number[][] = [];
    for (let round = 0; round < 3; round++) rounds.push(await latencies(bench, samples));
    const own = digits(await ownCost(bench, samples));
    const row = (share: number, what: string, mustReach: number): Row => ({
      what: `enqueue returned → command started, idle worker, ${what}`,
      against: null,
      unit: 'ms',
      rounds: rounds.map((taken) => quantile(taken, share)),
      target: { sign: '≤', mustReach },
      detail: `${samples} jobs a round; ${own} ms of it are the start of sh and the way of measuring`,
    });
    return [row(0.5, 'median', 10), row(0.99, 'p99', 50)];
  },
};
