/** Ids and commands that look like something else. (logs.test.ts has where the logs of odd ids are.) */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { install } from '../helpers/install.js';
import { resultOf } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { storeTest, type TestStore } from './support.js';

const IDS = [
  '../../etc/passwd',
  '/etc/passwd',
  '-rf',
  '--json',
  '..',
  '__proto__',
  'constructor',
  'Case',
  'case',
  `a'b"c\`d$(touch pwned)\\`,
  '%s%n {"id":"x"}',
  'line\u2028and\u2029paragraph',
  'right\u202eto\u2066left\u200f\u061c',
  '\u{1f468}\u200d\u{1f469}'.repeat(85),
];

/** Whatever moves the cursor, ends a line, or reorders what stands beside it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const DRIVES_A_TERMINAL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

async function drain(store: TestStore): Promise<void> {
  await store.startWorkers('--concurrency', '4');
  await waitFor(() => store.completed() === store.queue().length, 30_000);
  await store.ok('worker-stop');
}

/** Every file below the store's root, but for what the store has under `data`. */
const filesOutside = (store: TestStore) =>
  readdirSync(store.root, { recursive: true, encoding: 'utf8' }).filter((name) => !name.startsWith('data'));

describe('odd text', { concurrency: 2 }, () => {
  storeTest('odd ids go through every command, name their job alone, and cannot drive a terminal', async (store) => {
    let printed = '';
    const each = async (command: (id: string, at: number) => Promise<string>) => {
      printed += (await Promise.all(IDS.map(command))).join('\n');
    };
    const refused = async (...args: string[]) => {
      const { code, stdout, stderr } = await store.run(args);
      assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
      assert.match(stderr, /^queuectl: [^\n]*\n$/);
      return stderr;
    };
    const command = 'printf %s "$QUEUECTL_JOB_ID"; [ -e good ]';
    await each((id, at) =>
      at % 2 === 0
        ? store.ok('enqueue', JSON.stringify({ id, command, max_retries: 0 }))
        : store.ok('enqueue', `--id=${id}`, '--max-retries=0', command),
    );
    for (const id of IDS.slice(-3)) {
      printed += await refused('enqueue', `--id=${id}`, 'true');
      printed += await refused('logs', '--', id);
      printed += await refused('dlq-retry', '--', id);
    }
    await drain(store);
    printed += await store.ok('dlq-list');
    assert.deepEqual(
      store
        .dead()
        .map(({ id }) => id)
        .sort(),
      [...IDS].sort(),
    );
    writeFileSync(join(store.root, 'good'), '');
    await each((id) => store.ok('dlq-retry', '--', id));
    await drain(store);
    printed += await store.ok('list');
    assert.doesNotMatch(printed, DRIVES_A_TERMINAL);
    assert.deepEqual(
      JSON.parse(await store.ok('list', '--json', '--state', 'completed'))
        .map(({ id }: { id: string }) => id)
        .sort(),
      [...IDS].sort(),
    );
    for (const id of IDS) assert.equal(await store.ok('logs', '--', id), id + id);
    assert.deepEqual(filesOutside(store), ['good']);
  });

  storeTest('a command is run to the letter', async (store) => {
    const payloads = [
      `'single' "double" \`backquotes\` $(touch pwned) \${HOME} $? !! \\ \\\\ \\n \\0 %s`,
      'one\n\n\ttwo\r\nthree\r',
      '-e -n --',
      '\u0001\u0007\u001b[31m\u007f\u009b é ✓ 😀 \u2028 \u202e',
      '{"command":"no"}',
      'long é✓😀"$x`\\ \n'.repeat(50_000),
    ];
    const commands = payloads.map((payload, at) => `cat > out.${at} <<'END OF IT'\n${payload}\nEND OF IT\n`);
    const last = commands.pop();
    for (const command of commands) await store.ok('enqueue', command);
    await store.enqueue({ command: last }, { command: '-dash 2>/dev/null; : > dash' });
    await store.ok('enqueue', JSON.stringify({ command: '-rf 2>/dev/null; : > flag' }));
    await drain(store);
    for (const [at, payload] of payloads.entries()) {
      assert.equal(readFileSync(join(store.root, `out.${at}`), 'utf8'), `${payload}\n`, `payload ${at}`);
    }
    assert.deepEqual(filesOutside(store).sort(), ['dash', 'flag', ...payloads.map((_, at) => `out.${at}`)].sort());
  });

  for (const [what, script, fact] of [
    ['a command', 'q enqueue "echo $odd"', 'what was typed is not UTF-8'],
    ['an id', 'q enqueue --id "$odd" true', 'what was typed is not UTF-8'],
    ['a data directory', 'q enqueue --data-dir "$odd" true', 'what was typed is not UTF-8'],
    ['a file of jobs', 'q enqueue --file "$odd"', 'what was typed is not UTF-8'],
    [
      '$QUEUECTL_DATA_DIR',
      'unset QUEUECTL_STORE; QUEUECTL_DATA_DIR=$PWD/$odd q enqueue true',
      '$QUEUECTL_DATA_DIR: the path is not UTF-8',
    ],
    ['$QUEUECTL_STORE', 'QUEUECTL_STORE=sqlite:$odd/x.db q enqueue true', '$QUEUECTL_STORE: the path is not UTF-8'],
    ['$HOME', 'unset QUEUECTL_DATA_DIR QUEUECTL_STORE; HOME=$PWD/$odd q enqueue true', 'the path /'],
    [
      'the current directory',
      'mkdir "$odd"; cd "$odd"; q enqueue true',
      'the path of the current directory is not UTF-8: /',
    ],
  ] as const) {
    storeTest(
      `${what} in bytes that are not UTF-8 is refused, and nothing is made of it`,
      async (store) => {
        const packaged = install(join(store.root, 'package')); // a clone has its queue beside it, whatever $HOME says
        const run = async (byte: string) => {
          const prelude = `odd=$(printf 'a${byte}b'); q() { '${process.execPath}' '${packaged}' "$@"; }; ${script}`;
          const env = { PATH: process.env.PATH, HOME: store.root, ...store.env };
          return resultOf(spawn('/bin/sh', ['-c', prelude], { cwd: store.root, env }));
        };
        const { code, stdout, stderr } = await run('\\377');
        assert.deepEqual({ code, stdout }, { code: what === 'the current directory' ? 1 : 2, stdout: '' });
        assert.match(stderr, /^queuectl: [^\n]* [A-Z][^\n]*\.\n$/);
        assert.ok(stderr.startsWith(`queuectl: ${fact}`), stderr);
        assert.equal(store.isThere(), false);
        const made = readdirSync(store.root).filter((name) => !['package', 'a\ufffdb'].includes(name));
        assert.deepEqual(made, []);
      },
      process.platform === 'linux' ? undefined : 'file names are UTF-8 there',
    );
  }

  storeTest('the character that stands for such bytes may be typed', async (store) => {
    await store.ok('enqueue', '--id', 'a', "echo '\ufffd'");
    await drain(store);
    assert.equal(await store.ok('logs', 'a'), '\ufffd\n');
  });
});
