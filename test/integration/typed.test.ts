/** What people type, and what they are told. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { COMMANDS } from '../../cli/commands/index.js';
import { INPUT_FIELDS } from '../../db/model/input.js';
import { CONFIG_KEYS } from '../../db/model/settings.js';
import { install, installClone } from '../helpers/install.js';
import { PROGRAM, type RunResult, resultOf, runCli } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { aboutNoStore, storeTest, type TestStore } from './support.js';

/** The command line that a message ends with, or has between backquotes. */
function adviceIn(stderr: string): string {
  const [, quoted, last] = /`(queuectl [^`]+)`|: (queuectl .*)\n$/s.exec(stderr.replace(NEW_QUEUE, '')) ?? [];
  const advice = quoted ?? last;
  assert.ok(advice, `no advice in ${JSON.stringify(stderr)}`);
  return advice;
}

/** Types a line into a shell. */
function type(store: TestStore, line: string): Promise<RunResult> {
  const script = `queuectl() { '${process.execPath}' '${PROGRAM}' "$@"; }\n${line}`;
  const env = { PATH: process.env.PATH, HOME: store.root, ...store.env };
  return resultOf(spawn('/bin/sh', ['-c', script], { cwd: store.root, env }));
}

/** Runs all that waits to its end, with one worker. */
async function drain(store: TestStore): Promise<void> {
  await store.startWorkers();
  await waitFor(() => store.completed() === store.queue().length, 60_000);
  await store.ok('worker-stop');
}

const NEW_QUEUE = /^queuectl: a new queue begins in .*\n/m;
const NO_WORKER = 'queuectl: no worker is running. Start one: queuectl worker-start';

describe('the words of a job', { concurrency: 2, skip: aboutNoStore ?? false }, () => {
  storeTest('behind a -- they are kept as they are', async (store) => {
    const words = [
      'two words',
      `it's`,
      '"q"',
      '$HOME',
      '`id`',
      'a\nb',
      '',
      '-x',
      '--json',
      '--',
      '*',
      '~',
      'A=b',
      '\\',
    ];
    await store.ok('enqueue', '--id', 'words', '--', 'printf', '%s|', ...words);
    writeFileSync(join(store.root, 'my program'), '#!/bin/sh\necho "ran with $# words"\n');
    chmodSync(join(store.root, 'my program'), 0o755);
    await store.ok('enqueue', '--id', 'program', '--', './my program', 'a b', 'c');
    await store.ok('enqueue', '--id', 'alone', '--', './my program');
    await store.ok('enqueue', '--id', 'dash', '--max-retries', '0', '--', '-');
    await store.ok('enqueue', '--', '{"id":"json","command":"echo json"}');
    assert.equal(store.job('json').command, 'echo json');
    await drain(store);
    assert.equal(await store.ok('logs', 'words'), words.map((word) => `${word}|`).join(''));
    assert.equal(await store.ok('logs', 'program'), 'ran with 2 words\n');
    assert.equal(await store.ok('logs', 'alone'), 'ran with 0 words\n');
  });

  storeTest('what is advised in their place works', async (store) => {
    for (const [typed, command] of [
      [`echo 'two  words' "it's" '$HOME'`, `echo 'two  words' 'it'\\''s' '$HOME'`],
      [`ls -l --id x 'a b'`, `ls -l 'a b'`],
      [`--max-retries 7 grep -r -e "a'b" .`, `grep -r -e 'a'\\''b' .`],
      [`id:job1 'command:echo "hi   there"' max_retries:2`, 'echo "hi   there"'],
      [`'{command:echo' 'hi}'`, 'echo hi'],
      [`-- 'echo "it'\\''s me"'`, `echo "it's me"`],
      [`-- '-x  y'`, '-x  y'],
      ['', 'echo hi'],
      ['git --version', 'git --version'],
      ['rm -v x', 'rm -v x'],
      ['curl --help', 'curl --help'],
      ['grep -h foo f', 'grep -h foo f'],
      [`--id quoted 'grep foo f' --help`, 'grep foo f'],
      ['--version ls', 'ls'],
      [`'{"command":"echo json"}' -h`, 'echo json'],
      ['--now ls', 'ls'],
      [`--concurrency 2 'echo hi'`, 'echo hi'],
      [`--count=2 'echo hi'`, 'echo hi'],
      [`'echo hi' --count 2`, 'echo hi'],
      ['systemctl stop x --now', 'systemctl stop x --now'],
      [`'echo hi' 'echo ho'`, 'echo hi; echo ho'],
      [`'echo hi' ho`, 'echo hi ho'],
      [`'ls -l' -x`, 'ls -l -x'],
    ] as const) {
      const refused = await type(store, `queuectl enqueue ${typed}`);
      assert.deepEqual([refused.code, refused.stdout], [2, ''], typed);
      const followed = await type(store, adviceIn(refused.stderr));
      assert.deepEqual([followed.code, followed.stderr.replace(NEW_QUEUE, '')], [0, `${NO_WORKER}\n`], refused.stderr);
      assert.equal(store.queue().at(-1)?.command, command);
    }
    assert.equal(store.job('x').command, `ls -l 'a b'`);
    assert.equal(store.job('job1').max_retries, 2);
    assert.equal(store.queue().filter(({ max_retries }) => max_retries === 7).length, 1);
  });

  storeTest("help and the version beside a job are not taken for queuectl's", async (store) => {
    const { code, stdout, stderr } = await store.run(['enqueue', 'git', '--version']);
    assert.deepEqual([code, stdout], [2, '']);
    assert.equal(
      stderr,
      'queuectl: --version beside a job may be meant for its program or for queuectl. ' +
        'What is not for queuectl goes after a --: queuectl enqueue -- git --version\n',
    );
    assert.match(await store.ok('enqueue', '--help'), /^Usage: queuectl enqueue/);
    assert.match(await store.ok('enqueue', '--version'), /^\d/);
  });

  storeTest('a flag of another command is named as that', async (store) => {
    const { stderr } = await store.run(['enqueue', '--now', 'ls']);
    assert.equal(
      stderr,
      'queuectl: unknown flag --now. --now is a flag of worker-stop. Without it: queuectl enqueue ls\n',
    );
  });

  storeTest('a job may come from stdin, by whatever name', async (store) => {
    assert.equal((await store.run(['enqueue', '--file', '-'], 'echo 1\n')).stdout, 'Enqueued 1 job\n');
    assert.equal((await store.run(['enqueue', '--file=-'], 'echo 2\n')).stdout, 'Enqueued 1 job\n');
    assert.deepEqual(
      store.queue().map(({ command }) => command),
      ['echo 1', 'echo 2'],
    );
  });

  const noScript = spawnSync('script', ['--version']).status === 0 ? undefined : 'there is no script(1) of util-linux';
  storeTest(
    'who types them on a terminal is told how to end',
    async (store) => {
      const line = `'${process.execPath}' '${PROGRAM}' enqueue -`;
      const { stdout } = spawnSync('script', ['-qec', line, '/dev/null'], {
        input: 'echo typed\n\u0004',
        env: { PATH: process.env.PATH, ...store.env },
        encoding: 'utf8',
      });
      assert.match(stdout, /Type one job a line: .* Ctrl-D ends\./);
      assert.match(stdout, /Enqueued 1 job\r\n/);
      assert.equal(store.queue()[0]?.command, 'echo typed');
    },
    noScript,
  );

  storeTest('a time-out of 0 is no limit, whatever the setting', async (store) => {
    await store.ok('config-set', 'job_timeout', '0.2');
    await store.ok('enqueue', '--id', 'free', '--timeout', '0', 'sleep 1');
    await store.ok('enqueue', '{"id":"json","command":"sleep 1","timeout":0}');
    await store.ok('enqueue', '--id', 'bound', '--max-retries', '0', 'sleep 1');
    await drain(store);
    assert.deepEqual([store.job('free').state, store.job('json').state], ['completed', 'completed']);
    assert.deepEqual(
      store.dead().map(({ id, error }) => [id, error]),
      [['bound', 'timed out after 0.2 s']],
    );
  });

  storeTest(
    'a command that the system could never run is refused, and one as long as it may be runs',
    async (store) => {
      const job = (bytes: number) => JSON.stringify({ command: `: ${'x'.repeat(bytes - 2)}` });
      const { code, stdout, stderr } = await store.run(['enqueue', '-'], `true\n${job(7_000_000)}\n`);
      assert.deepEqual([code, stdout, store.queue()], [2, '', []]);
      const [, limit] =
        /^queuectl: line 2: "command" is 7000000 bytes long, and the system runs at most (\d+)\. /.exec(stderr) ?? [];
      assert.ok(limit, stderr);
      assert.equal((await store.run(['enqueue', '-'], job(Number(limit) + 1))).code, 2);
      assert.equal((await store.run(['enqueue', '-'], job(Number(limit)))).code, 0);
      await drain(store);
      assert.equal(store.queue()[0]?.state, 'completed');
    },
  );
});

describe('words that stand for commands', { concurrency: 2, skip: aboutNoStore ?? false }, () => {
  storeTest('run, dlq and config are short for others', async (store) => {
    await store.enqueue({ id: 'bad', command: 'exit 3', max_retries: 0 });
    const workers = await store.startForeground('run', '--concurrency', '2');
    await waitFor(() => store.dead().length === 1);
    process.kill(workers.pid, 'SIGTERM');
    assert.equal(await workers.ended, 0);
    assert.equal(await store.ok('dlq'), await store.ok('dlq-list'));
    assert.equal(await store.ok('dlq', '--json'), await store.ok('dlq-list', '--json'));
    assert.equal(await store.ok('config'), await store.ok('config-get'));
  });

  storeTest('help is a command, too', async (store) => {
    assert.equal(await store.ok('help'), await store.ok('--help'));
    for (const { name } of COMMANDS) {
      const isOneWord = !name.includes('-'); // then it is the same as in commands.test.ts
      const ways = [
        ['help', name],
        ...(isOneWord
          ? []
          : [
              [name, '-h'],
              ['help', ...name.split('-')],
            ]),
      ];
      const text = await store.ok(name, '--help');
      for (const words of ways) assert.equal(await store.ok(...words), text);
    }
    assert.equal(await store.ok('help', 'worker'), await store.ok('worker', '--help'));
    assert.equal(await store.ok('-v'), await store.ok('--version'));
    assert.match(
      await store.ok('help', '--store', 'mongodb://me:secret@host'),
      /this version has no MongoDB store\. [^\n]*\n$/,
    );
    const fields = await store.ok('help', 'enqueue');
    for (const field of Object.keys(INPUT_FIELDS)) assert.match(fields, new RegExp(`^  ${field} +\\S`, 'm'));
    for (const command of ['config-set', 'config-get']) {
      const settings = await store.ok(command, '--help');
      for (const key of CONFIG_KEYS) {
        assert.match(settings, new RegExp(`^  ${key} +an? (integer|number) from [^]*?\\(default:\\s+\\d+\\)`, 'm'));
      }
    }
  });

  storeTest('config shows a setting', async (store) => {
    await store.ok('enqueue', 'true');
    assert.equal(await store.ok('config', 'max_retries'), await store.ok('config-get', 'max_retries'));
  });

  for (const [typed, advice] of [
    ['config max_retries 5', 'queuectl config-set max_retries 5'],
    ['config set max-retries=5', 'queuectl config-set max_retries 5'],
    ['list dead', 'queuectl list --state dead'],
    ['list --status dead', 'queuectl list --state dead'],
    ['worker-stop --force', 'queuectl worker-stop --now'],
    ['dlq-retry --all', 'queuectl dlq-list'],
  ] as const) {
    storeTest(`${typed}: ${advice}`, async (store) => {
      for (const flags of [[], ['--data-dir', join(store.root, 'a b')]]) {
        const { code, stdout, stderr } = await store.run([...typed.split(' '), ...flags]);
        assert.deepEqual([code, stdout], [2, '']);
        const found = adviceIn(stderr);
        assert.equal(found, flags.length === 0 ? advice : `${advice} --data-dir '${flags[1]}'`);
        assert.equal((await type(store, found)).code, 0, found);
      }
    });
  }

  const names: readonly string[] = COMMANDS.map(({ name }) => name);
  for (const [words, meant] of [
    ['add submit', 'enqueue'],
    ['tail follow', 'logs'],
    ['ps ls', 'list'],
    ['top watch', 'status'],
    ['kill abort cancel', '`queuectl worker-stop --now`'],
    ['rerun restart', '`queuectl dlq-retry --help`'],
    ['stash pause', '`queuectl worker-stop`'],
    ['rm delete remove clean clear prune', 'No command removes jobs yet.'],
    ['info show', '`queuectl list`'],
  ] as const) {
    storeTest(`${words}: ${meant}`, async (store) => {
      for (const word of words.split(' ')) {
        const { code, stdout, stderr } = await store.run([word, 'job1']);
        assert.deepEqual([code, stdout], [2, '']);
        const expected = names.includes(meant) ? `Did you mean ${meant}? ` : meant;
        assert.ok(stderr.startsWith(`queuectl: unknown command "${word}". `) && stderr.includes(expected), stderr);
        if (meant.startsWith('`')) assert.equal((await type(store, adviceIn(stderr))).code, 0);
      }
    });
  }
});

describe('what a command says besides its result', { concurrency: 2 }, () => {
  storeTest('that the queue it looks at is not there', async (store) => {
    const fact = `there is no queue in ${store.shelf.place} yet`;
    for (const args of [['status'], ['list'], ['dlq'], ['config'], ['worker-stop']]) {
      const plain = await store.run(args);
      assert.deepEqual([plain.code, plain.stderr], [0, `queuectl: warning: ${fact}\n`], args[0]);
      const { code, stdout, stderr } = await store.run([...args, '--json']);
      assert.deepEqual([code, JSON.parse(stderr)], [0, { warning: { fact } }], args[0]);
      JSON.parse(stdout);
    }
    const logs = await store.run(['logs', 'job1']);
    assert.deepEqual(
      [logs.code, logs.stderr],
      [1, `queuectl: no job "job1". There is no queue in ${store.shelf.place} yet.\n`],
    );
    assert.equal(store.isThere(), false);
    const begun = `queuectl: a new queue begins in ${store.shelf.place}\n`;
    assert.equal((await store.run(['enqueue', 'true'])).stderr, `${NO_WORKER}\n${begun}`);
    assert.equal((await store.run(['enqueue', 'true'])).stderr, `${NO_WORKER}\n`);
    assert.equal((await store.run(['status'])).stderr, '');
  });

  storeTest('that workers begin a new queue, and where', async (store) => {
    assert.equal((await store.run(['worker-start'])).stderr, `queuectl: a new queue begins in ${store.shelf.place}\n`);
    await store.ok('worker-stop');
    const flags = ['--data-dir', join(store.root, 'other')];
    const { ended, output } = await store.startForeground('run', ...flags);
    assert.match(output(), /^Starting 1 worker process\.\.\.\n(.*\n)?queuectl: a new queue begins in .*\/other\n/);
    await store.ok('worker-stop', ...flags);
    assert.equal(await ended, 0);
  });

  storeTest('that the settings cannot be used, by status', async (store) => {
    await store.ok('enqueue', 'true');
    store.shelf.putSetting('max_retries', -1);
    const { code, stdout, stderr } = await store.run(['status']);
    assert.equal(code, 0);
    assert.match(stdout, /pending: 1,/);
    const place = store.shelf.placeOfSettings;
    assert.ok(
      stderr.startsWith(`queuectl: warning: workers cannot work: ${place} is damaged: "max_retries" must be `),
      stderr,
    );
  });

  storeTest('that nobody works, and how to start who does', async (store) => {
    const odd = join(store.root, `it's "mine"`);
    const flags = ['--store', `file:${odd}`];
    const { code, stderr } = await store.run(['enqueue', 'true', ...flags]);
    assert.equal(code, 0);
    const advice = adviceIn(stderr);
    assert.equal(advice, `queuectl worker-start --store 'file:${odd.replace("'", `'\\''`)}'`);
    assert.equal((await type(store, advice)).code, 0);
    try {
      assert.equal((await store.run(['enqueue', 'true', ...flags])).stderr, '');
      assert.equal((await store.run(['enqueue', '-', ...flags], 'true\n')).stderr, '');
    } finally {
      assert.equal(
        (await store.run(['worker-stop', ...flags])).stdout,
        'Stopping all workers...\nAll workers stopped.\n',
      );
    }
    assert.equal((await store.run(['enqueue', '-', ...flags], 'true\n')).stderr, stderr.replace(NEW_QUEUE, ''));
    assert.equal((await store.run(['enqueue', 'true', '--json', ...flags])).stderr, '');
    assert.equal((await store.run(['enqueue', '-', ...flags])).stderr, '', 'no job, no advice');
  });

  storeTest('what to do about an error, in the store that it is about', async (store) => {
    const flags = ['--data-dir', join(store.root, `it's "mine"`)];
    assert.equal((await store.run(['enqueue', 'true', '--id', 'job1', ...flags])).code, 0);
    for (const args of [
      ['dlq-retry', 'nobody'],
      ['logs', 'nobody'],
      ['logs', 'job1'],
    ]) {
      const { code, stderr } = await store.run([...args, ...flags]);
      assert.equal(code, 1, stderr);
      const advice = adviceIn(stderr);
      assert.match(advice, /^queuectl (dlq-list|list|status) --data-dir '/);
      const { code: followed, stderr: said } = await type(store, advice);
      assert.deepEqual([followed, said], [0, ''], advice);
    }
  });

  storeTest('what worker-stop waits for', async (store) => {
    const jobs = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const wait = (id: string) => `: > ${id}; until [ -e go ]; do sleep 0.05; done`;
    await store.enqueue(...jobs.map((id) => ({ id, command: wait(id) })));
    await store.startWorkers('--concurrency', '10');
    await waitFor(() => jobs.every((id) => store.has(id)));
    const stopping = store.run(['worker-stop']);
    await waitFor(() => store.records('supervisor').length === 1); // nothing has ended, whatever it says
    const told = await resultOf(
      spawn(process.execPath, [PROGRAM, 'worker-stop'], {
        env: store.env,
        timeout: 5000,
        killSignal: 'SIGKILL',
      }),
    );
    assert.equal(
      told.stderr,
      'Waiting for 7 jobs that run: a, b, c, d, e and 2 more. `queuectl worker-stop --now` ends what runs.\n',
    );
    writeFileSync(join(store.root, 'go'), '');
    assert.equal((await stopping).stdout, 'Stopping all workers...\nAll workers stopped.\n');
    assert.deepEqual(await store.run(['worker-stop']), { code: 0, stdout: 'No workers are running.\n', stderr: '' });
  });
});

describe('variables', { concurrency: 2 }, () => {
  /** Where a program says that its queue is. */
  const placeOf = (program: string, env: Record<string, string>, ...flags: string[]) => {
    const args = [program, 'help', 'list', ...flags];
    const { stdout } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    return /The queue is in (.*)\n$/.exec(stdout)?.[1];
  };

  storeTest('come from a file that is named, then from .env in a clone; those that are set win', async (store) => {
    const at = (name: string) => join(store.root, name);
    const [clone, installed] = [installClone(at('clone')), install(at('installed'))];
    writeFileSync(at('named.env'), 'QUEUECTL_DATA_DIR=/named\n');
    writeFileSync(at('clone/.env'), '# ours\nQUEUECTL_DATA_DIR="/in a file"\n');
    writeFileSync(at('installed/.env'), 'QUEUECTL_DATA_DIR=/not-read\n');
    const named = ['--env-file', at('named.env')];
    const env = { HOME: '/home/me' };
    assert.equal(placeOf(clone, env), '/in a file');
    assert.equal(placeOf(clone, env, ...named), '/named');
    assert.equal(placeOf(clone, { ...env, QUEUECTL_DATA_DIR: '/set' }, ...named), '/set');
    assert.equal(placeOf(clone, { ...env, QUEUECTL_STORE: '/set' }), '/set');
    writeFileSync(at('clone/.env'), 'QUEUECTL_STORE=/a store in a file\n');
    assert.equal(placeOf(clone, env), '/a store in a file');
    assert.equal(placeOf(clone, { ...env, QUEUECTL_DATA_DIR: '/set' }), '/set');
    assert.equal(placeOf(clone, env, ...named), '/named');
    assert.equal(placeOf(installed, env), '/home/me/.local/state/queuectl');
    assert.equal(placeOf(installed, env, ...named), '/named');
    for (const [text, place] of [
      ['QUEUECTL_DATA_DIR=queue', at('clone/queue')],
      ['QUEUECTL_STORE=sqlite:queue.db', at('clone/queue.db')],
      ['QUEUECTL_STORE=file:queue', at('clone/queue')],
    ] as const) {
      writeFileSync(at('clone/.env'), `${text}\n`);
      assert.equal(placeOf(clone, env), place, text);
    }
    rmSync(at('clone/.env'));
    mkdirSync(at('clone/.env'));
    const { status, stderr } = spawnSync(process.execPath, [clone, 'list'], { env, encoding: 'utf8' });
    const says = `queuectl: cannot read ${at('clone/.env')}: is a directory. It is to be a file that you can read.\n`;
    assert.deepEqual([status, stderr], [1, says]);
  });

  storeTest('that name MongoDB are not ignored in silence', async (store) => {
    const home = join(store.root, 'it is mine');
    const dataDir = join(home, 'queuectl');
    const program = install(join(store.root, 'installed'));
    const run = (env: Record<string, string>, ...args: string[]) =>
      spawnSync(process.execPath, [program, ...args], {
        env: { MONGO_URI: 'mongodb://me:secret@host/db', XDG_STATE_HOME: home, ...env },
        encoding: 'utf8',
      });
    const { status, stdout, stderr } = run({}, 'list');
    assert.deepEqual([status, stdout], [0, '[]\n']);
    const noQueue = `there is no queue in ${dataDir} yet`;
    assert.equal(
      stderr,
      'queuectl: warning: MONGO_URI is set, but this version keeps no queue in MongoDB: ' +
        `it is in ${dataDir}; set QUEUECTL_DATA_DIR='${dataDir}' to keep it there without this warning\n` +
        `queuectl: warning: ${noQueue}\n`,
    );
    const [json = ''] = run({}, 'list', '--json').stderr.split('\n');
    assert.match(JSON.parse(json).warning.fact, /^MONGO_URI is set/);
    for (const flags of [
      ['--data-dir', store.root],
      ['--store', store.root],
    ]) {
      assert.equal(run({}, 'list', ...flags).stderr, '');
    }
    assert.equal(run({ QUEUECTL_DATA_DIR: dataDir }, 'list').stderr, `queuectl: warning: ${noQueue}\n`);
  });

  storeTest('may name no home: then the system does', async (store) => {
    const program = install(join(store.root, 'installed'));
    const expected = join(userInfo().homedir, '.local', 'state', 'queuectl');
    for (const env of [{ HOME: '' }, {}, { HOME: 'relative' }]) assert.equal(placeOf(program, env), expected);
  });
});

test('errors found before a command is known are JSON, too', async () => {
  for (const args of [['--json', 'foo'], ['--json'], ['--json', '--foo'], ['help', 'foo', '--json']]) {
    const { code, stdout, stderr } = await runCli(args, { dataDir: '/nowhere' });
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, /^\{"error":\{"code":"USAGE","fact":"[^\n]+","remedy":"[^\n]+"\}\}\n$/);
    JSON.parse(stderr);
  }
});
