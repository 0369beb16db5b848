/** What each command prints, to the letter, from the built program. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { DEFAULT_CONFIG } from '../../db/model/settings.js';
import { deadEntry } from '../helpers/jobFactory.js';
import { PROGRAM, runCli, withoutAdvice } from '../helpers/runCli.js';
import { tempStore } from '../helpers/tempStore.js';
import { waitFor } from '../helpers/waitFor.js';

const NO_JOBS = { pending: 0, processing: 0, completed: 0, failed: 0, dead: 0 };

/** Runs a command that must succeed, and say nothing on stderr. */
async function succeed(dataDir: string, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await runCli(args, { dataDir, input });
  assert.equal(withoutAdvice(stderr), '', args.join(' '));
  assert.equal(code, 0, args.join(' '));
  return stdout;
}

const succeedJson = async (dataDir: string, args: readonly string[], input = '') =>
  JSON.parse(await succeed(dataDir, ['--json', ...args], input));

test('enqueue adds a job', async () => {
  const dataDir = tempStore();
  const before = Date.now();
  assert.equal(
    await succeed(dataDir, ['enqueue', '{"id":"job1","command":"echo hi"}']),
    'Job enqueued with ID: job1\n',
  );
  assert.match(await succeed(dataDir, ['enqueue', 'echo hi', '--max-retries=5']), /^Job enqueued with ID: \S{8,}\n$/);
  const job = await succeedJson(dataDir, ['enqueue', '--id', 'job3', '--delay', '60', '--priority', '-2', '--', '-x']);
  assert.equal(job.id, 'job3');
  assert.equal(job.command, '-x');
  const jobs = JSON.parse(readFileSync(join(dataDir, 'queue.json'), 'utf8'));
  assert.deepEqual(jobs[2], job);
  assert.deepEqual(
    jobs.map(({ max_retries, priority, cwd }: Record<string, unknown>) => [max_retries, priority, cwd]),
    [
      [3, undefined, process.cwd()],
      [5, undefined, process.cwd()],
      [3, -2, process.cwd()],
    ],
  );
  assert.ok(job.run_at >= before + 60_000 && job.run_at <= Date.now() + 60_000);
});

test('enqueue reads many jobs from stdin or a file', async () => {
  const dataDir = tempStore();
  assert.equal(await succeed(dataDir, ['enqueue', '-']), 'Enqueued 0 jobs\n');
  assert.equal(await succeed(dataDir, ['enqueue', '-'], 'echo 1'), 'Enqueued 1 job\n');
  assert.equal(
    await succeed(dataDir, ['enqueue', '-', '--max-retries=0'], 'echo 2\n\n{"id":"a","command":"echo 3"}\n'),
    'Enqueued 2 jobs\n',
  );
  const file = join(tempStore(), 'jobs.ndjson');
  writeFileSync(file, 'echo 4\n'.repeat(1000));
  assert.deepEqual(await succeedJson(dataDir, ['enqueue', `--file=${file}`]), { enqueued: 1000 });
  const jobs = JSON.parse(await succeed(dataDir, ['list']));
  assert.equal(jobs.length, 1003);
  assert.deepEqual(
    jobs.slice(0, 3).map(({ command, max_retries }: Record<string, unknown>) => [command, max_retries]),
    [
      ['echo 1', 3],
      ['echo 2', 0],
      ['echo 3', 0],
    ],
  );
});

test('list and dlq-list print what the files hold', async () => {
  const dataDir = tempStore();
  assert.equal(await succeed(dataDir, ['list']), '[]\n');
  const dead = deadEntry({ id: 'bad-job' });
  writeFileSync(join(dataDir, 'dlq.json'), `[\n${JSON.stringify(dead)}\n]\n`);
  await succeed(dataDir, ['enqueue', '-'], 'echo 1\necho 2\n');
  const queue = readFileSync(join(dataDir, 'queue.json'), 'utf8');
  assert.equal(await succeed(dataDir, ['list']), queue);
  assert.equal(await succeed(dataDir, ['list', '--state', 'pending', '--json']), queue);
  assert.equal(await succeed(dataDir, ['list', '--state=failed']), '[]\n');
  for (const args of [['dlq-list'], ['dlq', 'list'], ['dlq-list', '--json'], ['list', '--state', 'dead']]) {
    assert.deepEqual(JSON.parse(await succeed(dataDir, args)), [dead], args.join(' '));
  }
});

test('list does not let a command drive the terminal', async () => {
  const dataDir = tempStore();
  const command = 'echo \u009b31m \u007f \u202e';
  await succeed(dataDir, ['enqueue', command]);
  const printed = await succeed(dataDir, ['list']);
  assert.match(printed, /echo \\u009b31m \\u007f \\u202e/);
  assert.equal(JSON.parse(printed)[0].command, command);
});

test('dlq-retry brings a job back', async () => {
  const dataDir = tempStore();
  const entries = [deadEntry({ id: 'bad-job' }), deadEntry({ id: '007' })];
  writeFileSync(join(dataDir, 'dlq.json'), JSON.stringify(entries));
  assert.equal(await succeed(dataDir, ['dlq-retry', 'bad-job']), "Job 'bad-job' moved back to queue for retry.\n");
  const job = await succeedJson(dataDir, ['dlq', 'retry', '007']);
  assert.deepEqual([job.id, job.state, job.attempts], ['007', 'pending', 0]);
  assert.equal(await succeed(dataDir, ['dlq-list']), '[]\n');
});

test('settings are read and changed', async () => {
  const dataDir = tempStore();
  const defaults = Object.entries(DEFAULT_CONFIG)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');
  assert.equal(await succeed(dataDir, ['config-get']), defaults);
  assert.equal(await succeed(dataDir, ['config-set', 'max_retries', '5']), '⚙️ Config updated: max_retries = 5\n');
  assert.equal(await succeed(dataDir, ['config', 'get', 'max_retries']), 'max_retries: 5\n');
  assert.equal(
    await succeed(dataDir, ['config', 'set', 'default_max_retries', '6']),
    '⚙️ Config updated: max_retries = 6\n',
  );
  assert.deepEqual(await succeedJson(dataDir, ['config-set', 'max_retries_default', '7']), { max_retries: 7 });
  assert.deepEqual(await succeedJson(dataDir, ['config-get', 'max_retries_default']), { max_retries: 7 });
  const all = { ...DEFAULT_CONFIG, max_retries: 7 };
  assert.deepEqual(await succeedJson(dataDir, ['config-get']), all);
});

test('workers are started, counted and stopped', async () => {
  const dataDir = tempStore();
  try {
    await succeed(dataDir, ['enqueue', 'echo out; printf "err\\033[1m" >&2', '--id', 'job1']);
    const started = await succeed(dataDir, ['worker-start', '--count', '2']);
    assert.match(
      started,
      /^Starting 2 worker processes\.\.\.\nWorker 1 started with PID: \d+\nWorker 2 started with PID: \d+\n$/,
    );
    const more = await succeedJson(dataDir, ['worker', 'start']);
    assert.deepEqual(Object.keys(more), ['supervisor_pid', 'workers']);
    assert.deepEqual(more, { supervisor_pid: more.supervisor_pid, workers: [{ pid: more.workers[0].pid }] });
    await waitFor(async () => (await succeedJson(dataDir, ['status'])).completed === 1);
    assert.equal(
      await succeed(dataDir, ['status']),
      '📊 Queue Status:\n{ activeWorkers: 3, pending: 0, processing: 0, completed: 1, failed: 0, dead: 0 }\n',
    );
    assert.equal(await succeed(dataDir, ['logs', 'job1']), 'out\nerr\u001b[1m');
    assert.deepEqual(await succeedJson(dataDir, ['logs', 'job1']), { id: 'job1', output: 'out\nerr\u001b[1m' });
    assert.equal(await succeed(dataDir, ['worker-stop']), 'Stopping all workers...\nAll workers stopped.\n');
    assert.deepEqual(await succeedJson(dataDir, ['worker', 'stop', '--now']), { stopped: 0 });
    const counts = { activeWorkers: 0, ...NO_JOBS, completed: 1 };
    assert.equal(await succeed(dataDir, ['status', '--json']), `${JSON.stringify(counts)}\n`);
  } finally {
    await runCli(['worker-stop', '--now'], { dataDir });
  }
});

test('status takes back what dead workers have left', async () => {
  const dataDir = tempStore();
  try {
    await succeed(dataDir, ['enqueue', 'exec sleep 60']);
    const { supervisor_pid, workers } = await succeedJson(dataDir, ['worker-start']);
    await waitFor(async () => JSON.parse(await succeed(dataDir, ['list', '--state=processing'])).length === 1);
    for (const pid of [supervisor_pid, workers[0].pid]) process.kill(pid, 'SIGKILL');
    assert.deepEqual(await succeedJson(dataDir, ['status']), { activeWorkers: 0, ...NO_JOBS, failed: 1 });
  } finally {
    await runCli(['worker-stop', '--now'], { dataDir });
  }
});

test('worker-start --foreground shows the jobs and ends after Ctrl-C', async () => {
  const dataDir = tempStore();
  await succeed(
    dataDir,
    ['enqueue', '-'],
    '{"id":"good","command":"true"}\n{"id":"bad","command":"exit 3","max_retries":0}',
  );
  const child = spawn(process.execPath, [PROGRAM, 'worker-start', '--foreground', '--data-dir', dataDir]);
  try {
    let shown = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      shown += chunk;
    });
    const complaints = text(child.stderr);
    const ended = new Promise((resolve) => child.on('close', resolve));
    await waitFor(() => shown.includes('good completed') && shown.includes('bad failed for the last time'));
    child.kill('SIGINT');
    assert.equal(await ended, 0);
    assert.equal(await complaints, '');
    const times = shown.replaceAll(/\d\d:\d\d:\d\d/g, 'TIME').replaceAll(/PID: \d+/g, 'PID: N');
    assert.deepEqual(times.split('\n').slice(0, 4), [
      'Starting 1 worker process...',
      'Worker 1 started with PID: N',
      'TIME ▶ good started, attempt 1',
      'TIME ✔ good completed',
    ]);
    assert.match(times, /\nTIME ✖ bad failed for the last time, now in the dead letter queue: exit code 3\n/);
    assert.match(
      times,
      /\nStopping once the running jobs have finished\. Ctrl-C again .*\n(.*\n)*All workers stopped\.\n$/,
    );
  } finally {
    child.kill('SIGKILL');
    await runCli(['worker-stop', '--now'], { dataDir });
  }
});

test('a reader that has seen enough is no error', async () => {
  const dataDir = await storeWithMuchOutput();
  for (const args of [['list'], ['logs', 'big']]) {
    const child = spawn(process.execPath, [PROGRAM, ...args, '--data-dir', dataDir]);
    const complaints = text(child.stderr);
    const ended = new Promise((resolve) => child.on('close', resolve));
    child.stdout.once('data', () => child.stdout.destroy());
    assert.equal(await ended, 0);
    assert.equal(await complaints, '');
  }
});

test('output that cannot be written is an error', { skip: !existsSync('/dev/full') }, async () => {
  const dataDir = await storeWithMuchOutput();
  const full = openSync('/dev/full', 'w');
  for (const args of [['list'], ['logs', 'big'], ['--help']]) {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args, '--data-dir', dataDir], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    });
    assert.equal(stderr, LOST_OUTPUT);
    assert.equal(status, 1);
  }
  closeSync(full);
});

test('what cannot print its result is done all the same, and says so', { skip: !existsSync('/dev/full') }, async () => {
  const dataDir = tempStore();
  const full = openSync('/dev/full', 'w');
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [PROGRAM, ...args, '--data-dir', dataDir], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    });
  for (const args of [
    ['enqueue', 'sleep 60'],
    ['worker-start'],
    ['worker-stop', '--now'],
    ['config-set', 'max_retries', '9'],
  ]) {
    const { status, stderr } = run(...args);
    assert.deepEqual([status, withoutAdvice(stderr)], [1, LOST_OUTPUT], String(args));
    if (args[0] === 'worker-start') assert.match(await succeed(dataDir, ['status']), /activeWorkers: 1/);
  }
  closeSync(full);
  assert.match(await succeed(dataDir, ['status']), /activeWorkers: 0, pending: 1/);
  assert.match(await succeed(dataDir, ['config-get']), /max_retries: 9/);
});

test('what could not be said besides the result is no failure', { skip: !existsSync('/dev/full') }, async () => {
  const dataDir = join(tempStore(), 'store');
  const full = openSync('/dev/full', 'w');
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [PROGRAM, ...args, '--data-dir', dataDir], {
      stdio: ['ignore', 'pipe', full],
      encoding: 'utf8',
    });
  for (const args of [['status'], ['enqueue', 'true']]) assert.equal(run(...args).status, 0, args[0]);
  assert.equal(run('logs', 'nobody').status, 1);
  assert.equal(run('status', 'too', 'much').status, 2);
  closeSync(full);
  assert.match(await succeed(dataDir, ['status']), /pending: 1/);
});

const LOST_OUTPUT =
  'queuectl: cannot write to stdout: no space left on device. What was to be done is done; only the output is lost.\n';

test('logs stops when its reader has gone, however long the log', async () => {
  const dataDir = await storeWithMuchOutput();
  truncateSync(join(dataDir, 'logs', 'big~1.log'), 100_000_000_000); // a hole: it takes minutes to read, and no space
  const line = `"$0" "$1" logs big --data-dir "$2" | head -c 1`;
  const { stdout, signal } = spawnSync('sh', ['-c', line, process.execPath, PROGRAM, dataDir], {
    encoding: 'utf8',
    timeout: 100_000,
    killSignal: 'SIGKILL',
  });
  assert.equal(signal, null);
  assert.equal(stdout, 'x');
});

/** A store with a job `big` whose command and log fill any pipe. */
async function storeWithMuchOutput(): Promise<string> {
  const dataDir = tempStore();
  const filler = 'x'.repeat(500_000);
  await succeed(dataDir, ['enqueue', '-'], `{"id":"big","command":"true"}\ntrue ${filler}\n`);
  mkdirSync(join(dataDir, 'logs'));
  writeFileSync(join(dataDir, 'logs', 'big~1.log'), filler);
  const queue = join(dataDir, 'queue.json');
  writeFileSync(queue, readFileSync(queue, 'utf8').replace('"attempts":0', '"attempts":1'));
  return dataDir;
}

test('help is found everywhere', async () => {
  const dataDir = tempStore();
  const overview = await succeed(dataDir, ['--help']);
  const names = [...overview.matchAll(/^ {2}queuectl ([a-z-]+) .* {2}\S/gm)].flatMap(([, name]) => name ?? []);
  assert.equal(names.length, 12, overview);
  for (const name of names) {
    const help = await succeed(dataDir, [name, '--help']);
    assert.match(help, new RegExp(`^Usage: queuectl ${name}`));
    assert.match(
      help,
      /--data-dir.*--json.*--help.*Examples:\n.*Exit codes:\n {2}0 {2}done\n {2}1 {2}\w.*\n {2}2 {2}wrong usage/s,
    );
    assert.equal(await succeed(dataDir, [...name.split('-'), '-h']), help);
  }
  assert.match(await succeed(dataDir, ['worker', '--help']), /worker-start.*worker-stop/s);
  assert.match(await succeed(dataDir, ['--version']), /^\d+\.\d+\.\d+\n$/);
  const { code, stdout, stderr } = await runCli([], { dataDir });
  assert.deepEqual({ code, stdout, stderr }, { code: 2, stdout: '', stderr: overview });
});

test('worker-start --foreground --json talks on stderr, and says how many have stopped at the end', async () => {
  const workers = spawn(process.execPath, [
    PROGRAM,
    '--data-dir',
    tempStore(),
    'worker-start',
    '--foreground',
    '--json',
  ]);
  const stdout = text(workers.stdout);
  let talk = '';
  workers.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    talk += chunk;
  });
  await waitFor(() => talk.includes('Worker 1 started with PID:'));
  workers.kill('SIGINT');
  assert.deepEqual(JSON.parse(await stdout), { stopped: 1 });
  await waitFor(() => workers.exitCode === 0);
});
