/** Commands that misbehave: the worker survives them, the job is settled as it should be, and the next job runs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe } from 'node:test';
import { assertWithin } from '../helpers/assertWithin.js';
import { NO_PERL, pathWithPerl } from '../helpers/perl.js';
import { runCli } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { kill, storeTest, type TestStore } from './support.js';

const isLong = process.env.QUEUECTL_CHAOS === '1';
const onLinux = process.platform === 'linux' ? undefined : 'it needs /proc';

interface Nasty {
  readonly id: string;
  readonly command: string;
  readonly timeout?: number;
}

const runAll = (store: TestStore, ...jobs: readonly Nasty[]) => runAllAs(store, process.env.PATH ?? '', ...jobs);

/**
 * Lets one worker run these jobs to their end, without a retry, and a harmless one after them.
 *
 * @param PATH where perl is found, and what else the jobs need
 */
async function runAllAs(store: TestStore, PATH: string, ...jobs: readonly Nasty[]) {
  await store.ok('config-set', 'kill_grace', '0.2');
  await store.enqueue(...jobs.map((job) => ({ max_retries: 0, ...job })), { id: 'harmless', command: 'true' });
  const env = { ...store.env, PATH };
  const { code, stdout } = await runCli(['worker-start', '--json'], { dataDir: store.dataDir, cwd: store.root, env });
  assert.equal(code, 0);
  const workers = (JSON.parse(stdout) as { workers: { pid: number }[] }).workers.map(({ pid }) => pid);
  await waitFor(() => isSettled(store, 'harmless'));
  await waitFor(() => jobs.every(({ id }) => isSettled(store, id)));
  assert.deepEqual(
    store.records('worker').map(({ pid }) => pid),
    workers,
    'the worker has survived',
  );
  await store.ok('worker-stop');
  assert.equal(store.job('harmless').attempts, 1);
}

const isSettled = (store: TestStore, id: string) =>
  store.queue().some((job) => job.id === id && job.state === 'completed') || store.dead().some((job) => job.id === id);

/** The errors of the dead jobs, by id. */
const errors = (store: TestStore) => Object.fromEntries(store.dead().map(({ id, error }) => [id, error]));

const logOf = (store: TestStore, id: string) => join(store.dataDir, 'logs', `${id}~1.log`);
const logSize = (store: TestStore, id: string) => statSync(logOf(store, id)).size;

/** Ends a process that has left its group, if it is still there. */
function endStray(store: TestStore, pidFile: string): void {
  const pid = Number(store.lines(pidFile)[0]);
  if (store.processes().some((process) => process.pid === pid)) kill(pid);
}

describe('nasty commands', { concurrency: 3 }, () => {
  storeTest('each signal that ends a command is told by its name', async (store) => {
    const harmless = ['SIGCHLD', 'SIGCONT', 'SIGURG', 'SIGWINCH', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'];
    const others = ['SIGIOT', 'SIGPOLL', 'SIGUNUSED', 'SIGINFO']; // second names, and one that Linux lacks
    const names = Object.keys(constants.signals).filter((name) => !harmless.includes(name) && !others.includes(name));
    const number = (name: string) => constants.signals[name as NodeJS.Signals]; // Object.keys forgets the type
    await runAll(
      store,
      ...names.map((id) => ({ id, command: `ulimit -c 0; kill -${number(id)} $$; sleep 60`, timeout: 30 })),
      { id: 'all of its group', command: 'kill -KILL 0' },
      { id: '255', command: 'exit 255' },
    );
    assert.deepEqual(errors(store), {
      ...Object.fromEntries(names.map((name) => [name, `killed by ${name}`])),
      'all of its group': 'killed by SIGKILL',
      '255': 'exit code 255',
    });
  });

  storeTest('output that is no text is kept as it is, and harms no JSON', async (store) => {
    const noise = String.raw`printf 'a\000b\377\376\n\303(\355\240\200\033]0;title\007\342\200\250last\000\377'; exit 3`;
    await runAll(store, { id: 'noise', command: noise }, { id: 'stderr', command: `{ ${noise}; } >&2` });
    const bytes = Buffer.from('610062fffe0ac328eda0801b5d303b7469746c6507e280a86c61737400ff', 'hex');
    for (const id of ['noise', 'stderr']) {
      assert.deepEqual(readFileSync(logOf(store, id)), bytes);
      assert.equal(JSON.parse(await store.ok('logs', id, '--json')).output, bytes.toString());
      const { error } = JSON.parse(await store.ok('dlq-list', '--json')).find((job: { id: string }) => job.id === id);
      assert.match(error, /^exit code 3: \ufffd\(\ufffd+.*last\ufffd$/s);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
      assert.doesNotMatch(error, /[\u0000-\u001f\u007f-\u009f]/);
    }
  });

  storeTest('a command that prints without end is cut off, and the disk never holds much of it', async (store) => {
    const limit = 100_000;
    await store.ok('config-set', 'log_max_bytes', String(limit));
    // Slowly enough to be looked at: some 100 MB a second.
    const megabytes = isLong ? 1000 : 150;
    const flood = `i=0; while [ $i -lt ${megabytes / 5} ]; do head -c 5000000 /dev/zero; sleep 0.05; i=$((i + 1)); done`;
    let largest = 0;
    const look = setInterval(() => {
      largest = Math.max(largest, existsSync(logOf(store, 'flood')) ? logSize(store, 'flood') : 0);
    }, 5);
    await runAll(
      store,
      { id: 'flood', command: `${flood}; echo; echo end >&2; exit 1` },
      { id: 'stderr', command: `head -c 30000000 /dev/zero >&2; exit 1` },
    );
    clearInterval(look);
    const mark = '\n[queuectl: the output is cut here, after 100000 bytes]\n';
    for (const id of ['flood', 'stderr']) assert.equal(logSize(store, id), limit + mark.length);
    assert.ok((await store.ok('logs', 'flood')).endsWith(mark));
    assert.equal(errors(store).flood, 'exit code 1: end');
    assert.ok(largest > limit && largest < 0.8 * megabytes * 1e6, `${largest} bytes were on disk`);
  });

  for (const [how, pathFor, away] of [
    ['by the fork server', () => process.env.PATH ?? '', 'setsid '],
    ['without perl', ({ root }: TestStore) => pathWithPerl(root, NO_PERL), ''],
  ] as const) {
    storeTest(
      `what a command leaves behind is cut off, too, for as long as it prints (${how})`,
      async (store) => {
        const limit = 100_000;
        await store.ok('config-set', 'log_max_bytes', String(limit));
        const prints = `echo $$ > printing; exec >&3; while :; do head -c 1000000 /dev/zero; sleep 0.1; done`;
        const command = `${away}sh -c '${prints}' 3>&1 >/dev/null 2>&1 & until [ -s printing ]; do sleep 0.02; done`;
        const env = { ...store.env, PATH: pathFor(store) };
        await runCli(['worker-start'], { dataDir: store.dataDir, cwd: store.root, env });
        await store.enqueue({ id: 'leaves', command });
        await waitFor(() => isSettled(store, 'leaves'));
        const output = `/proc/${store.lines('printing')[0]}/fd/1`;
        const staysShort = async () => {
          for (let look = 0; look < 3; look++) {
            await waitFor(() => statSync(output).size > limit + 1000); // it prints on
            await waitFor(() => statSync(output).size < limit + 1000); // and that is cut off
          }
        };
        await staysShort();
        await store.ok('worker-stop');
        const outlives = how === 'by the fork server';
        if (outlives) await staysShort(); // whatever becomes of the worker
        assert.match((await store.ok('logs', 'leaves')).slice(limit), /^\n\[queuectl: the output is cut here/);
        if (outlives) {
          writeFileSync(`${logOf(store, 'leaves')}.new`, 'x'.repeat(2 * limit));
          renameSync(`${logOf(store, 'leaves')}.new`, logOf(store, 'leaves'));
          await staysShort(); // or of its name
          assert.equal(logSize(store, 'leaves'), 2 * limit);
        }
        endStray(store, 'printing'); // the test fails if whoever keeps it short stays
        if (outlives) await waitFor(() => store.processes().length === 0);
      },
      onLinux,
    );
  }

  storeTest('a command that ignores SIGTERM is killed by worker-stop --now, and its job given back', async (store) => {
    await store.ok('config-set', 'kill_grace', '0.3');
    const deaf = 'trap "" TERM HUP INT QUIT PIPE; : > begun; while :; do sleep 60; done';
    await store.enqueue({ id: 'deaf', command: deaf });
    await store.startWorkers();
    await waitFor(() => store.has('begun'));
    const began = performance.now();
    assert.equal(await store.ok('worker-stop', '--now', '--json'), '{"stopped":1}\n');
    await assertWithin(performance.now() - began, 5000, 'its worker had to give up');
    const { state, attempts } = store.job('deaf');
    assert.deepEqual({ state, attempts }, { state: 'pending', attempts: 0 });
  });

  storeTest(
    'a command that leaves its process group keeps neither its job nor its worker',
    async (store) => {
      const away = (name: string) => `sh -c 'echo $$ > ${name}; exec sleep 300'`;
      const daemon = `(setsid ${away('daemon')} </dev/null >/dev/null 2>&1 &)`; // forks twice, and leads a session
      const joins = `perl -e 'setpgrp 0, getpgrp getppid or die "refused"; exec "sleep", 300'`;
      await runAll(
        store,
        { id: 'daemon', command: `${daemon}; until [ -s daemon ]; do sleep 0.02; done` },
        { id: 'waits', command: `setsid -w ${away('session')}`, timeout: 0.5 },
        { id: 'fails', command: `setsid ${away('failed')} & until [ -s failed ]; do sleep 0.02; done; exit 4` },
        { id: 'joins', command: `echo $$ > joined; exec ${joins}`, timeout: 0.5 },
      );
      for (const pidFile of ['daemon', 'session', 'failed', 'joined']) endStray(store, pidFile);
      assert.deepEqual(errors(store), {
        waits: 'timed out after 0.5 s',
        fails: 'exit code 4',
        joins: 'timed out after 0.5 s',
      });
    },
    onLinux,
  );

  for (const [how, pathFor] of [
    ['by the fork server', () => process.env.PATH ?? ''],
    ['without perl', ({ root }: TestStore) => pathWithPerl(root, NO_PERL)],
  ] as const) {
    storeTest(
      `a command that puts FIFOs in the place of its output and its note holds nobody up (${how})`,
      async (store) => {
        const replace = (file: string) => `f=$(echo ${file}); rm "$f"; mkfifo "$f"; exit 1`;
        await runAllAs(
          store,
          pathFor(store),
          { id: 'output', command: replace(logOf(store, 'output')) },
          { id: 'note', command: replace(`${store.dataDir}/workers/*.1`) },
        );
        assert.deepEqual(errors(store), {
          output: 'exit code 1: (its log cannot be read: ENOTREG)',
          note: 'exit code 1',
        });
        const { code, stderr } = await store.run(['logs', 'output']);
        assert.equal(code, 1);
        assert.match(stderr, /output~1\.log: is not a regular file\. Move away what is in its place\.$/m);
      },
    );
  }

  storeTest('a FIFO in the place of the note of a worker that died does not keep its job', async (store) => {
    await store.enqueue({ id: 'a', command: 'echo x >> ran; until [ -e go ]; do sleep 0.05; done' });
    const [pid = 0] = await store.startWorkers();
    await waitFor(() => store.lines('ran').length === 1);
    const [note = ''] = readdirSync(join(store.dataDir, 'workers')).filter((name) => name.endsWith('.1'));
    rmSync(join(store.dataDir, 'workers', note));
    execFileSync('mkfifo', [join(store.dataDir, 'workers', note)]);
    kill(pid);
    await waitFor(() => store.lines('ran').length === 2);
    store.go();
    await waitFor(() => store.completed() === 1);
    await store.ok('worker-stop');
  });

  storeTest('a command that kills all it can find of queuectl is buried, and the next one runs', async (store) => {
    const killer = 'until [ -e go ]; do sleep 0.02; done; echo x >> ran; kill -9 $(cat go) $PPID; sleep 60';
    await store.ok('config-set', 'backoff_max', '0');
    await store.enqueue({ id: 'killer', command: killer, max_retries: 1 });
    for (const time of [1, 2]) {
      await store.startWorkers();
      // First who could do something about it.
      const found = [...store.records('supervisor'), ...store.records('worker')].map(({ pid }) => pid);
      assert.equal(found.length, 2);
      writeFileSync(join(store.root, 'pids'), found.join(' '));
      renameSync(join(store.root, 'pids'), join(store.root, 'go'));
      await waitFor(() => store.lines('ran').length === time);
      await waitFor(async () => (await store.counts()).activeWorkers === 0);
      rmSync(join(store.root, 'go'));
      assert.equal(store.lines('ran').length, time);
    }
    assert.deepEqual(errors(store), { killer: 'its worker died' });
    await runAll(store);
  });
});
