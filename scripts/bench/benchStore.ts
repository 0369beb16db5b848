/** A store that is measured, worked on by the built command line only. */
import fs from 'node:fs';
import { join } from 'node:path';
import type { Job } from '../../db/model/job.js';
import packageJson from '../../package.json' with { type: 'json' };
import { type Bench, PROJECT, type Ran } from './bench.js';
import { until } from './until.js';

/** The built command line. */
export const QUEUECTL = join(PROJECT, packageJson.bin.queuectl);

export interface Workers {
  readonly supervisorPid: number;
  readonly pids: readonly number[];
  /** What `worker-start` took. */
  readonly ms: number;
}

/** When the jobs of a store were run; milliseconds since the epoch. */
export interface Drained {
  readonly firstClaim: number;
  readonly lastSettle: number;
}

export class BenchStore {
  readonly dataDir: string;

  constructor(private readonly bench: Bench) {
    this.dataDir = bench.newPath();
  }

  queuectl(args: readonly string[], stdin?: string): Promise<Ran> {
    return this.bench.run(process.execPath, [QUEUECTL, ...args], {
      env: { QUEUECTL_DATA_DIR: this.dataDir },
      ...(stdin === undefined ? {} : { stdin }),
    });
  }

  async startWorkers(count: number): Promise<Workers> {
    const { ms, stdout } = await this.queuectl(['worker-start', '--count', String(count), '--json']);
    const { supervisor_pid: supervisorPid, workers } = JSON.parse(stdout);
    return { ms, supervisorPid, pids: workers.map(({ pid }: { pid: number }) => pid) };
  }

  async stopWorkers(): Promise<void> {
    await this.queuectl(['worker-stop']);
  }

  /** Starts workers, waits until every job is completed, and stops them. */
  async drain(workers: number): Promise<Drained> {
    await this.startWorkers(workers);
    const drained = await this.drained();
    await this.stopWorkers();
    return drained;
  }

  /** Waits until every job is completed. */
  async drained(): Promise<Drained> {
    // No command asks for the state meanwhile: it would take a processor from the workers.
    let seen = 0n;
    const jobs = await until('all jobs are completed', () => {
      const { mtimeNs } = fs.statSync(this.path('queue.json'), { bigint: true });
      if (mtimeNs === seen) return undefined;
      seen = mtimeNs;
      const found: Job[] = JSON.parse(fs.readFileSync(this.path('queue.json'), 'utf8'));
      return found.every(({ state }) => state === 'completed') ? found : undefined;
    });
    return {
      firstClaim: Math.min(...jobs.map((job) => job.processing_started_at ?? Number.NaN)),
      lastSettle: Math.max(...jobs.map((job) => job.updated_at)),
    };
  }

  /** What the last fold took, in milliseconds, as the journal says. */
  foldMs(): number {
    const [header = ''] = fs.readFileSync(this.path('journal.ndjson'), 'utf8').split('\n', 1);
    return JSON.parse(header).fold_ms;
  }

  remove(): void {
    fs.rmSync(this.dataDir, { recursive: true });
  }

  private path(name: string): string {
    return join(this.dataDir, name);
  }
}
