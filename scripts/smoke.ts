/**
 * A quick proof on real processes: builds nothing, uses the built command line on a temporary store, and says what it
 * does as it goes. Ends with `Smoke test PASSED`, or says what differed and exits 1.
 *
 * Usage: npm run smoke [-- --store file|sqlite]
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const QUEUECTL = fileURLToPath(new URL('../dist/queuectl.cjs', import.meta.url));
const DEADLINE_MS = 15_000;

type Counts = Record<'activeWorkers' | 'pending' | 'processing' | 'completed' | 'failed' | 'dead', number>;
type Entry = { id: string; state?: string; attempts: number; error?: string };

const { store: kind } = parseArgs({ options: { store: { type: 'string', default: 'file' } } }).values;
assert.ok(kind === 'file' || kind === 'sqlite', `there is no store of kind ${kind}: give file or sqlite`);
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'queuectl-smoke-'));
const store = path.join(directory, kind === 'file' ? 'data' : 'data/queue.db');
/** Where the outputs of jobs are. */
const dataDir = kind === 'file' ? store : `${store}-state`;
const say = (text: string) => process.stdout.write(`${text}\n`);

/** Runs one queuectl command, shows it and returns what it printed. */
function queuectl(...args: string[]): string {
  say(`  $ queuectl ${args.map((arg) => (/^[\w./=-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ')}`);
  return quietly(...args);
}

function quietly(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [QUEUECTL, ...args], {
    encoding: 'utf8',
    cwd: directory,
    env: { ...process.env, QUEUECTL_STORE: `${kind}:${store}` },
  });
  assert.equal(status, 0, `queuectl ${args.join(' ')} exited with ${status}: ${stderr}`);
  return stdout;
}

const counts = (): Counts => JSON.parse(quietly('status', '--json'));

/** What a store in files tells without the program; of a database nothing is left beside it. */
function atRest(): Entry[] {
  if (kind === 'file') return JSON.parse(fs.readFileSync(path.join(store, 'queue.json'), 'utf8'));
  assert.ok(!fs.existsSync(`${store}-wal`), 'the journal of the database is written into it');
  return JSON.parse(quietly('list'));
}

async function until(what: string, condition: () => boolean): Promise<void> {
  say(`  … until ${what}`);
  const deadline = Date.now() + DEADLINE_MS;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited ${DEADLINE_MS / 1000} s in vain until ${what}`);
    await delay(50);
  }
}

async function success(): Promise<void> {
  say('1. A job that succeeds');
  assert.equal(queuectl('enqueue', '{"id":"ok1","command":"echo success"}'), 'Job enqueued with ID: ok1\n');
  assert.match(
    queuectl('worker-start', '--count', '2'),
    /^Starting 2 worker processes\.\.\.\nWorker 1 started with PID: \d+\n/,
  );
  await until('it is completed', () => counts().completed === 1);
  assert.equal(fs.readFileSync(path.join(dataDir, 'logs', 'ok1~1.log'), 'utf8'), 'success\n');
}

async function failure(): Promise<void> {
  say('2. A job that fails, is retried, and ends in the dead letter queue');
  queuectl('config-set', 'backoff_base', '1');
  queuectl('enqueue', '{"id":"fail1","command":"echo no luck; exit 3","max_retries":2}');
  await until('it is dead', () => counts().dead === 1);
  const [dead] = JSON.parse(queuectl('dlq-list')) as Entry[];
  assert.equal(dead?.id, 'fail1');
  assert.equal(dead.attempts, 3);
  assert.equal(dead.error, 'exit code 3: no luck');
}

async function delayed(): Promise<void> {
  say('3. A delayed job');
  const runAt = Date.now() + 2000;
  queuectl('enqueue', JSON.stringify({ id: 'delayed', command: 'date +%s', run_at: runAt }));
  assert.equal(counts().pending, 1);
  await until('it is completed', () => counts().completed === 2);
  const ranAt = Number(fs.readFileSync(path.join(dataDir, 'logs', 'delayed~1.log'), 'utf8')) * 1000;
  assert.ok(ranAt + 999 >= runAt, `it ran ${runAt - ranAt} ms too early`);
}

async function many(): Promise<void> {
  say('4. Many jobs on several workers, none run twice');
  const ran = path.join(directory, 'ran');
  const file = path.join(directory, 'jobs.ndjson');
  const lines = Array.from({ length: 200 }, (_, at) =>
    JSON.stringify({ id: `m${at}`, command: `echo m${at} >> ${ran}` }),
  );
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
  assert.equal(queuectl('enqueue', '--file', file), 'Enqueued 200 jobs\n');
  await until('all are completed', () => counts().completed === 202);
  const seen = fs.readFileSync(ran, 'utf8').trim().split('\n');
  assert.equal(seen.length, 200, 'each job ran once');
  assert.equal(new Set(seen).size, 200, 'every job ran');
}

async function retry(): Promise<void> {
  say('5. A retry from the dead letter queue');
  assert.equal(queuectl('dlq-retry', 'fail1'), "Job 'fail1' moved back to queue for retry.\n");
  assert.equal(counts().dead, 0);
  await until('it is dead again', () => counts().dead === 1);
  assert.equal((JSON.parse(queuectl('dlq-list')) as Entry[])[0]?.attempts, 3, 'its attempts began anew');
}

async function gracefulStop(): Promise<void> {
  say('6. A graceful stop: the job that runs is finished first');
  const done = path.join(directory, 'done');
  queuectl('enqueue', JSON.stringify({ id: 'slow', command: `sleep 1; echo done > ${done}` }));
  await until('it runs', () => counts().processing === 1);
  assert.match(queuectl('worker-stop'), /^Stopping all workers\.\.\.\nAll workers stopped\.\n$/);
  assert.ok(fs.existsSync(done), 'the job finished before its worker');
  assert.equal(counts().activeWorkers, 0);
  const slow = atRest().find(({ id }) => id === 'slow');
  assert.equal(slow?.state, 'completed', 'the store alone tells the whole truth at rest');
}

try {
  for (const flow of [success, failure, delayed, many, retry, gracefulStop]) await flow();
  say('Smoke test PASSED');
} catch (error) {
  say(`Smoke test FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  if (counts().activeWorkers > 0) quietly('worker-stop', '--now');
  fs.rmSync(directory, { recursive: true, force: true });
}
