/**
 * Kills processes of the built program at random while jobs flow, then checks that every promise was kept.
 *
 * Several actors use one store at once: two enqueue, one brings dead jobs back, one changes a setting, one asks for the
 * status, one starts workers and at times stops them all, one reads the store's files. Meanwhile SIGKILL hits command lines,
 * supervisors, workers, fork servers and the commands of jobs, and SIGSTOP holds some of them for a while. A seed gives the
 * same decisions again; what a kill meets depends on the moment all the same.
 *
 * A command holds a lock of its job, by flock(1), as long as any of its processes lives, so that a second one that runs at
 * the same time cannot go unnoticed.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DeadEntry } from '../../db/model/deadEntry.js';
import type { Job } from '../../db/model/job.js';
import { type RunResult, withoutAdvice } from '../../test/helpers/runCli.js';
import { waitFor } from '../../test/helpers/waitFor.js';
import { kill, type Process, type TestStore } from '../../test/integration/support.js';
import { Random } from './random.js';

export interface Plan {
  readonly seed: number;
  /** How often it kills … */
  readonly kills: number;
  /** … unless it has taken so long; seconds. */
  readonly seconds: number;
}

const KINDS = {
  'command line': { mark: 'queuectl.cjs', weight: 2 },
  supervisor: { mark: 'workerMain.cjs supervisor', weight: 3 },
  worker: { mark: 'workerMain.cjs worker', weight: 5 },
  'fork server': { mark: 'forkServer.pl', weight: 4 },
  command: { mark: '', weight: 2 },
};
type Kind = keyof typeof KINDS;
const kinds = Object.keys(KINDS) as Kind[]; // it has no others
const tickets = kinds.flatMap((kind) => Array<Kind>(KINDS[kind].weight).fill(kind));
const kindOf = ({ commandLine }: Process) => kinds.find((kind) => commandLine.includes(KINDS[kind].mark)) ?? 'command';

/** How many processes of each kind were killed, how many were stopped, and how many commands of each kind were acknowledged. */
export type Toll = Record<Kind | 'stopped' | 'enqueue' | 'dlq-retry' | 'config-set' | 'attempts', number>;

/** A process is stopped for up to so long: the second of two is more than a lock is left to one that is stopped. */
const STOPS_MS = [2000, 12_000] as const;

/** The lock of a process that was killed is taken over after three seconds, that of one that is stopped after ten. */
const OPENS_WITHIN_MS = 15_000;
const ENQUEUES_WITHIN_MS = 45_000;
const STARTS_WITHIN_MS = 45_000;
const SETTLES_WITHIN_MS = 60_000;
const SETTING = 'log_max_bytes';
const FIRST_SETTING = 1_000_000;
const CONCURRENCY = 2;
const WAITING_JOBS = 60;

/** What the record of an attempt holds; each line is written at once, so that a kill leaves it out or whole. */
const JOB = `me="$QUEUECTL_JOB_ID, attempt $QUEUECTL_ATTEMPT, process $$ of $PPID"
exec 9<>"locks/$QUEUECTL_JOB_ID"
flock -n 9 || { echo "$me beside $(cat <&9)" >> overlaps; exit 1; }
echo "$me" >&9
echo "$QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT start" >> ran
sleep $NAP
echo "$QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT end" >> ran
exit $CODE`;

/** What a `worker-start` says, or not: whom it starts may be killed before it is ready. */
const WHOM_IT_STARTS = /^(queuectl: .*workers? .*\n)?$/;

/** What a `status` says while a supervisor has one worker less, as one was killed that was to take a killed one's place. */
const WHO_IS_MISSING = /^(\{"warning":\{"fact":"[^"]* could not be started again: [^"]*"\}\}\n)*$/;

interface Batch {
  readonly ids: readonly string[];
  readonly acknowledged: boolean;
}

export class Storm {
  readonly toll: Toll = {
    'command line': 0,
    supervisor: 0,
    worker: 0,
    'fork server': 0,
    command: 0,
    stopped: 0,
    enqueue: 0,
    'dlq-retry': 0,
    'config-set': 0,
    attempts: 0,
  };
  private readonly random: Random;
  private readonly asked = new Set<string>();
  private readonly batches: Batch[] = [];
  /** When the `dlq-retry` of a job began that was acknowledged, or 0 for one that was killed; milliseconds. */
  private readonly retries = new Map<string, number>();
  /** What `config-set` has given a key, which only ever grows. */
  private readonly setting = { acknowledged: FIRST_SETTING, asked: FIRST_SETTING };
  private cut = 0;
  private unfinished = 0;
  private isOver = false;
  /** Go on by themselves. */
  private readonly halts: Promise<void>[] = [];

  constructor(
    private readonly store: TestStore,
    private readonly plan: Plan,
  ) {
    this.random = new Random(plan.seed);
  }

  /** Kills as often as planned, lets everything settle, and checks. Ends with no worker and no unfinished job. */
  async rage(): Promise<void> {
    mkdirSync(join(this.store.root, 'locks'));
    await this.store.ok('config-set', 'backoff_base', '1');
    await this.store.ok('config-set', 'backoff_max', '0.02');
    await this.store.ok('config-set', 'kill_grace', '0.5');
    const actors = [
      this.enqueueOne,
      this.enqueueMany,
      this.retry,
      this.configure,
      this.ask,
      this.keepWorkers,
      this.read,
    ];
    await Promise.all([this.killAll(), ...actors.map((act) => this.repeat(act))]);
    await Promise.all(this.halts);
    await this.settle();
    this.audit();
  }

  private async repeat(act: () => Promise<void>): Promise<void> {
    try {
      while (!this.isOver) {
        await act.call(this);
        await delay(this.random.integer(50));
      }
    } finally {
      this.isOver = true; // one that fails ends the others
    }
  }

  /** @returns undefined when it was killed */
  private async run(args: readonly string[], withinMs: number, input?: string): Promise<RunResult | undefined> {
    const began = performance.now();
    const ended = await this.store.run(args, input);
    const result = { ...ended, stderr: withoutAdvice(ended.stderr) };
    const ms = performance.now() - began;
    const what = `queuectl ${args[0]}: ${result.stderr}`;
    assert.ok(ms < withinMs, `${what} took ${ms} ms`);
    if (result.code !== null) return result;
    assert.match(result.stderr, args[0] === 'worker-start' ? WHOM_IT_STARTS : /^$/, what); // it may be killed when it has told
    this.cut += 1;
    return undefined;
  }

  /** @returns whether it was acknowledged: it succeeds unless it is killed */
  private async acknowledges(args: readonly string[], input?: string): Promise<boolean> {
    const result = await this.run(args, ENQUEUES_WITHIN_MS, input);
    if (result === undefined) return false;
    assert.deepEqual({ code: result.code, stderr: result.stderr }, { code: 0, stderr: '' }, `queuectl ${args[0]}`);
    return true;
  }

  private newJob() {
    const id = `job-${this.asked.size}`;
    this.asked.add(id);
    const fails = this.random.chance(0.2);
    const command = JOB.replace('$NAP', (this.random.next() / 5).toFixed(3)).replace('$CODE', fails ? '1' : '0');
    return { id, command, max_retries: fails ? 1 : 10 };
  }

  private async enqueueOne(): Promise<void> {
    if (this.unfinished > WAITING_JOBS) return;
    const job = this.newJob();
    await this.enqueue([job.id], ['enqueue', JSON.stringify(job)]);
  }

  private async enqueueMany(): Promise<void> {
    if (this.unfinished > WAITING_JOBS) return;
    const jobs = Array.from({ length: 2 + this.random.integer(8) }, () => this.newJob());
    const lines = jobs.map((job) => `${JSON.stringify(job)}\n`).join('');
    await this.enqueue(
      jobs.map(({ id }) => id),
      ['enqueue', '-'],
      lines,
    );
  }

  private async enqueue(ids: readonly string[], args: readonly string[], input?: string): Promise<void> {
    const acknowledged = await this.acknowledges(args, input);
    this.batches.push({ ids, acknowledged });
    if (acknowledged) this.toll.enqueue += 1;
  }

  private async retry(): Promise<void> {
    const job = this.store.dead().find(({ id }) => !this.retries.has(id));
    if (job === undefined) return;
    this.retries.set(job.id, 0);
    const beganAt = Date.now();
    if (!(await this.acknowledges(['dlq-retry', job.id]))) return;
    this.retries.set(job.id, beganAt);
    this.toll['dlq-retry'] += 1;
  }

  private async configure(): Promise<void> {
    this.setting.asked += 1;
    if (!(await this.acknowledges(['config-set', SETTING, String(this.setting.asked)]))) return;
    this.setting.acknowledged = this.setting.asked;
    this.toll['config-set'] += 1;
  }

  /** The status at any moment: no job that was acknowledged is missing. */
  private async ask(): Promise<void> {
    const least = this.acknowledged().length;
    const result = await this.run(['status', '--json'], OPENS_WITHIN_MS);
    if (result === undefined) return;
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stderr, WHO_IS_MISSING);
    const { pending, processing, completed, failed, dead } = JSON.parse(result.stdout);
    const all = pending + processing + completed + failed + dead;
    assert.ok(all >= least && all <= this.asked.size, `${least} <= ${all} <= ${this.asked.size}`);
  }

  private async keepWorkers(): Promise<void> {
    const supervisors = this.store.processes().filter((process) => kindOf(process) === 'supervisor').length;
    if (supervisors < 2) {
      const flags = ['--count', '2', '--concurrency', String(CONCURRENCY)];
      const started = await this.run(['worker-start', ...flags], STARTS_WITHIN_MS);
      if (started?.code !== 0) assert.match(started?.stderr ?? '', WHOM_IT_STARTS);
    } else if (supervisors > 3 || this.random.chance(0.02)) {
      await this.acknowledges(['worker-stop']);
    }
  }

  /** The files at any moment: whole, and JSON. */
  private async read(): Promise<void> {
    this.unfinished = this.store.queue().filter(({ state }) => state !== 'completed').length;
    this.store.dead();
    this.store.config();
  }

  private async killAll(): Promise<void> {
    const end = performance.now() + this.plan.seconds * 1000;
    try {
      for (let time = 0; time < this.plan.kills && performance.now() < end && !this.isOver; time++) {
        for (const victim of this.victims()) {
          kill(victim.pid);
          this.toll[kindOf(victim)] += 1;
        }
        if (this.random.chance(0.15)) this.halts.push(this.halt());
        await this.ask();
        await delay(this.random.integer(100));
      }
    } finally {
      this.isOver = true;
    }
  }

  /** Stops a process, mostly for a moment. Somebody waits for a command line, so that is not stopped for long. */
  private async halt(): Promise<void> {
    const kind = this.random.pick(tickets) ?? 'worker';
    const isShort = kind === 'command line' || this.random.chance(0.8);
    const ms = this.random.integer(STOPS_MS[isShort ? 0 : 1]);
    const halted = this.random.pick(this.store.processes().filter((process) => kindOf(process) === kind));
    if (halted === undefined) return;
    kill(halted.pid, 'SIGSTOP');
    this.toll.stopped += 1;
    await delay(ms);
    kill(halted.pid, 'SIGCONT');
  }

  /** Mostly one process, sometimes a few, rarely all of queuectl. */
  private victims(): Process[] {
    const living = this.store.processes();
    if (this.random.chance(0.05)) return living.filter((process) => kindOf(process) !== 'command');
    const count = this.random.chance(0.1) ? 3 : 1;
    const picked = new Set<Process>();
    while (picked.size < Math.min(count, living.length)) {
      const kind = this.random.pick(tickets);
      const victim = this.random.pick(living.filter((process) => kindOf(process) === kind));
      if (victim !== undefined) picked.add(victim);
    }
    return [...picked];
  }

  private acknowledged(): string[] {
    return this.batches.filter(({ acknowledged }) => acknowledged).flatMap(({ ids }) => ids);
  }

  private async settle(): Promise<void> {
    await this.store.startWorkers('--count', '2', '--concurrency', String(CONCURRENCY));
    await waitFor(async () => {
      const { pending, processing, failed } = await this.store.counts();
      return pending + processing + failed === 0;
    }, SETTLES_WITHIN_MS);
    await this.store.leftIsRemoved();
    await this.store.ok('worker-stop');
  }

  private audit(): void {
    assert.deepEqual(this.store.lines('overlaps'), [], 'no job was run by two at once');
    const records = new Map([...this.store.queue(), ...this.store.dead()].map((job) => [job.id, job]));
    assert.equal(records.size, this.store.queue().length + this.store.dead().length, 'no id is on record twice');
    for (const { ids, acknowledged } of this.batches) {
      const found = ids.filter((id) => records.has(id)).length;
      if (acknowledged) assert.equal(found, ids.length, `${ids} were acknowledged`);
      else assert.ok(found === 0 || found === ids.length, `${found} of ${ids} are there`);
    }
    const attempts = this.attempts();
    let unseen = 0;
    for (const job of records.values()) unseen += this.auditJob(job, attempts.get(job.id) ?? []);
    const cuts = (this.toll.worker + this.toll['fork server'] + this.toll.supervisor) * CONCURRENCY + this.toll.command;
    assert.ok(unseen <= cuts, `${unseen} attempts never began, and kills can explain ${cuts}`);
    const { [SETTING]: value = 0 } = this.store.config() as { [SETTING]?: number };
    const { acknowledged, asked } = this.setting;
    assert.ok(acknowledged <= value && value <= asked, `${SETTING}: ${acknowledged} <= ${value} <= ${asked}`);
    assert.ok(this.cut <= this.toll['command line'], `${this.cut} command lines ended by a signal`);
  }

  /** The attempts that commands have told of, in order. */
  private attempts(): Map<string, { number: number; hasEnded: boolean }[]> {
    const all = new Map<string, { number: number; hasEnded: boolean }[]>();
    for (const line of this.store.lines('ran')) {
      const [id = '', number = '', what] = line.split(' ');
      const attempts = all.get(id) ?? [];
      all.set(id, attempts);
      const last = attempts.at(-1);
      if (what === 'start') attempts.push({ number: Number(number), hasEnded: false });
      else if (last?.number === Number(number) && !last.hasEnded) last.hasEnded = true;
      else assert.fail(`"${line}" after ${JSON.stringify(attempts)}`);
    }
    this.toll.attempts = this.store.lines('ran').filter((line) => line.endsWith('start')).length;
    return all;
  }

  /** @returns how many attempts of a job count, though its command never began */
  private auditJob(job: Job | DeadEntry, attempts: readonly { number: number; hasEnded: boolean }[]): number {
    const says = `${JSON.stringify({ ...job, command: '' })}, attempts ${JSON.stringify(attempts)}`;
    const last = attempts.at(-1);
    // A retry begins with attempt 1 again; everything else counts up.
    const turns = attempts.flatMap(({ number }, at) => (number <= (attempts[at - 1]?.number ?? 0) ? [at] : []));
    const retriedAt = this.retries.get(job.id);
    assert.ok(turns.length <= (retriedAt === undefined ? 0 : 1), `an attempt is counted: ${says}`);
    const latest = attempts.slice(turns.at(-1) ?? 0);
    if ('state' in job) {
      assert.equal(job.state, 'completed', says);
      assert.deepEqual(last, { number: job.attempts, hasEnded: true }, `what is completed has been done: ${says}`);
    } else {
      assert.equal(job.attempts, job.max_retries + 1, says);
      assert.match(job.error, /^(exit code 1(: Killed)?|killed by SIGKILL(: Killed)?|its worker died)$/, says);
    }
    const settledAt = 'state' in job ? job.updated_at : job.failed_at;
    assert.ok(settledAt >= (retriedAt ?? 0), `it was retried at ${retriedAt}: ${says}`);
    assert.ok((last?.number ?? 0) <= job.attempts || turns.length < 1, says);
    return Math.max(job.attempts - latest.length, 0);
  }
}
