/** Bad input, given to the built program: one line on stderr, nothing on stdout, and not a byte of the store changed. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { visible } from '../../cli/text/output.js';
import { deadEntry } from '../helpers/jobFactory.js';
import { type RunOptions, runCli } from '../helpers/runCli.js';
import { tempStore } from '../helpers/tempStore.js';

interface Case {
  readonly args: readonly string[];
  readonly code: 1 | 2;
  readonly says: string | RegExp;
  readonly input?: string | Buffer;
}

const EXAMPLE = 'A job in JSON looks like {"id":"job1","command":"echo hi"}';
const NAMES = `Names need double quotes. ${EXAMPLE}.`;
const JOB_FIELDS = 'Known fields: id, command, max_retries, run_at, priority, timeout, cwd.';

/** A message that ends so. */
const ending = (text: string) => new RegExp(`\\. ${text.replace(/[.{}"]/g, '\\$&')}$`);

const CASES: Case[] = [
  // the job
  {
    args: ['enqueue', '{"command": hi}'],
    code: 2,
    says: `malformed JSON at column 13: unexpected "hi}". ${EXAMPLE}.`,
  },
  ...[
    [`{id:1}`, NAMES],
    [`{command: "ls"}`, NAMES],
    [`{id:job1}`, `${EXAMPLE}; on a command line put it in single quotes.`, NAMES],
    [`{'command':'ls'}`, `Names and strings need double quotes. ${EXAMPLE}.`],
    [`{"command":"ls",}`, 'Remove the comma before it.'],
  ].flatMap(([json = '', remedy = '', inLines = remedy]): Case[] => [
    { args: ['enqueue', json], code: 2, says: ending(remedy) },
    { args: ['enqueue', '-'], input: json, code: 2, says: ending(inLines) },
  ]),
  {
    args: ['enqueue', '-'],
    input: '{\n  "command": "ls"\n}\n',
    code: 2,
    says: /^line 1: .* Give one job a line, whole, as `jq -c \.` makes of an object\.$/,
  },
  ...['[\n{"command":"ls"}\n]\n', '[{"command":"ls"}]\n'].map(
    (input): Case => ({
      args: ['enqueue', '-'],
      input,
      code: 2,
      says: "line 1: a JSON array is no job. Nothing was enqueued. Give one job a line, as `jq -c '.[]'` makes of an array.",
    }),
  ),
  {
    args: ['enqueue', '{"command":"a"}', '{"command":"b"}'],
    code: 2,
    says: '2 jobs are given. Give one at a time, or one a line in a --file.',
  },
  { args: ['enqueue', '{"command":"a"'], code: 2, says: /^malformed JSON at column 15: it ends too early\. / },
  { args: ['enqueue', '{"id":"x"}'], code: 2, says: /^the job has no "command"\. / },
  { args: ['enqueue', '{"id":"x","cmd":"a"}'], code: 2, says: `unknown field "cmd" in the job. ${JOB_FIELDS}` },
  {
    args: ['enqueue', '{"command":"a","run_at":"2040-01-01T00:00:00Z"}'],
    code: 2,
    says: /, not "2040-01-01T00:00:00Z"\. If it is meant as a date, give 2208988800000: 2040-01-01T00:00:00\.000Z\.$/,
  },
  { args: ['worker-start', '2'], code: 2, says: /Did you mean `queuectl worker-start --count 2`\?$/ },
  { args: ['doctor', '-fix'], code: 2, says: 'unknown flag -fix. Did you mean --fix? See `queuectl doctor --help`.' },
  { args: ['enqueue', '{"command":""}'], code: 2, says: /^"command" must be a string that is not empty/ },
  { args: ['enqueue', ' \n '], code: 2, says: /^"command" must be a string that is not empty/ },
  { args: ['enqueue', ''], code: 2, says: /^"command" must be a string that is not empty/ },
  { args: ['enqueue', '{"command":7}'], code: 2, says: /^"command" must be a string .*not 7\. / },
  { args: ['enqueue', '{"command":"a","id":7}'], code: 2, says: /^"id" must be a string .*not 7\. / },
  { args: ['enqueue', '{"command":"a","id":""}'], code: 2, says: /^"id" must be a string of 1 to 255 characters/ },
  {
    args: ['enqueue', '{"command":"a","id":"a\\u001bb"}'],
    code: 2,
    says: /^"id" must be .* without control characters/,
  },
  {
    args: ['enqueue', '{"command":"a","max_retries":"3"}'],
    code: 2,
    says: /^"max_retries" must be an integer .*not "3"/,
  },
  {
    args: ['enqueue', '{"command":"a","max_retries":-1}'],
    code: 2,
    says: /^"max_retries" must be an integer .*not -1/,
  },
  {
    args: ['enqueue', '{"command":"a","max_retries":1.5}'],
    code: 2,
    says: /^"max_retries" must be an integer .*not 1\.5/,
  },
  {
    args: ['enqueue', '{"command":"a","max_retries":null}'],
    code: 2,
    says: /^"max_retries" must be an integer .*not null/,
  },
  {
    args: ['enqueue', '{"command":"a","run_at":"tomorrow"}'],
    code: 2,
    says: /^"run_at" must be a time in integer milliseconds/,
  },
  { args: ['enqueue', '{"command":"a","cwd":"here"}'], code: 2, says: /^"cwd" must be an absolute path, not "here"/ },
  {
    args: ['enqueue', '{"command":"a","retries":1}'],
    code: 2,
    says: `unknown field "retries" in the job. ${JOB_FIELDS}`,
  },
  {
    args: ['enqueue', '{"command":"a","__proto__":1}'],
    code: 2,
    says: `unknown field "__proto__" in the job. ${JOB_FIELDS}`,
  },
  { args: ['enqueue', '{"command":"a","id":"queued"}'], code: 1, says: 'the id "queued" is taken. Choose another id.' },
  { args: ['enqueue', '{"command":"a","id":"buried"}'], code: 1, says: 'the id "buried" is taken. Choose another id.' },
  { args: ['enqueue', 'a', '--id', 'queued'], code: 1, says: 'the id "queued" is taken. Choose another id.' },
  { args: ['enqueue'], code: 2, says: `no job is given. Example: queuectl enqueue 'echo hi'` },
  {
    args: ['enqueue', 'echo', "it's", 'me'],
    code: 2,
    says: String.raw`the job is 3 words. Put a -- before them: queuectl enqueue -- echo 'it'\''s' me`,
  },
  { args: ['enqueue', '{command:', 'a}'], code: 2, says: /^the job is 2 words\. .* '\{"command":"echo hi"\}'$/ },
  {
    args: ['enqueue', 'grep', '-r', 'two words', '--id', 'x', '.'],
    code: 2,
    says: `unknown flag -r. What is not for queuectl goes after a --: queuectl enqueue --id x -- grep -r 'two words' .`,
  },
  { args: ['enqueue', 'echo', 'a\nb'], code: 2, says: 'the job is 2 words. Put it in quotes.' },
  {
    args: ['enqueue', 'a', '--', 'b'],
    code: 2,
    says: 'the job is 2 words. Put a -- before them: queuectl enqueue -- a b',
  },
  { args: ['enqueue', '--file', 'a', '--', 'b'], code: 2, says: /^a job and --file exclude each other/ },
  { args: ['enqueue', '--', '{"command": hi}'], code: 2, says: /^malformed JSON/ },
  { args: ['enqueue', 'x'.repeat(100_000), '--cwd', '/'], code: 2, says: /^unknown flag --cwd/ },
  // its flags
  {
    args: ['enqueue', 'a', '--max-retries', 'abc'],
    code: 2,
    says: /^--max-retries must be an integer from 0 to 1000, not "abc"/,
  },
  {
    args: ['enqueue', 'a', '--max-retries', '-1'],
    code: 2,
    says: /^--max-retries must be an integer from 0 to 1000, not "-1"/,
  },
  {
    args: ['enqueue', 'a', '--max-retries=1.5'],
    code: 2,
    says: /^--max-retries must be an integer from 0 to 1000, not "1\.5"/,
  },
  { args: ['enqueue', 'a', '--max-retries'], code: 2, says: /^--max-retries needs a value/ },
  { args: ['enqueue', 'a', '--delay', '-1'], code: 2, says: /^--delay must be a number of seconds/ },
  {
    args: ['enqueue', 'a', '--run-at', '1764000000'],
    code: 2,
    says: /^--run-at must be .* not 1764000000\. If it is meant in seconds, give 1764000000000: 2025-11-24T16:00:00/,
  },
  {
    args: ['enqueue', '{"command":"a","run_at":1764000000}', '--json'],
    code: 2,
    says: /^"run_at" must be .* not 1764000000\. If it is meant in seconds, give 1764000000000: 2025-11-24T16:00:00/,
  },
  { args: ['enqueue', 'a', '--run-at', 'noon'], code: 2, says: /^--run-at must be an integer/ },
  {
    args: ['enqueue', 'a', '--run-at', '1764000000000', '--delay', '1'],
    code: 2,
    says: /^--delay and --run-at exclude each other/,
  },
  {
    args: ['enqueue', 'a', '--priority', '1000001'],
    code: 2,
    says: /^--priority must be an integer from -1000000 to 1000000/,
  },
  { args: ['enqueue', 'a', '--id', 'x', '--id', 'y'], code: 2, says: /^--id is given more than once/ },
  {
    args: ['enqueue', '{"command":"a","max_retries":1}', '--max-retries=2'],
    code: 2,
    says: 'the job says "max_retries" is 1, but a flag says 2. Give it once.',
  },
  // many jobs
  {
    args: ['enqueue', '-'],
    input: 'a\n\n{"command":}\n',
    code: 2,
    says: /^line 3: malformed JSON at column 12: .*Nothing was enqueued\. /,
  },
  {
    args: ['enqueue', '-'],
    input: 'a\n{"id":"x"}\n',
    code: 2,
    says: /^line 2: the job has no "command"\. Nothing was enqueued\. /,
  },
  {
    args: ['enqueue', '-'],
    input: '{"command":"a","id":"x"}\n{"command":"b","id":"x"}\n',
    code: 1,
    says: 'line 2: the id "x" is already on line 1. Nothing was enqueued; choose another id.',
  },
  {
    args: ['enqueue', '-'],
    input: 'a\n{"command":"a","id":"new"}\n{"command":"b","id":"buried"}\n',
    code: 1,
    says: 'line 3: the id "buried" is taken. Nothing was enqueued; choose another id.',
  },
  { args: ['enqueue', '-'], input: Buffer.from([0x61, 0x0a, 0xff]), code: 2, says: /^line 2: not UTF-8\. / },
  { args: ['enqueue', '-', '--id', 'x'], input: 'a\n', code: 2, says: /^--id names one job/ },
  { args: ['enqueue', '-', '--max-retries', 'x'], code: 2, says: /^--max-retries must be an integer/ },
  { args: ['enqueue', '--file', '/nosuch.ndjson'], code: 1, says: 'no file "/nosuch.ndjson". Check its name.' },
  { args: ['enqueue', '--file', '/'], code: 2, says: /^"\/" is a directory\. / },
  { args: ['enqueue', 'a', '--file', 'b'], code: 2, says: /^a job and --file exclude each other/ },
  // the other commands
  {
    args: ['list', '--state', 'dying'],
    code: 2,
    says: 'unknown state "dying". Known states: pending, processing, completed, failed, dead.',
  },
  { args: ['list', '--state='], code: 2, says: /^--state needs a value/ },
  { args: ['list', 'failed'], code: 2, says: /^unexpected argument "failed" after list/ },
  { args: ['logs'], code: 2, says: /^logs needs <id>/ },
  { args: ['logs', 'nosuch'], code: 1, says: /^no job "nosuch"\. / },
  { args: ['logs', '../config.json'], code: 1, says: /^no job "\.\.\/config\.json"\. / },
  { args: ['logs', 'queued'], code: 1, says: /^job "queued" has not been run yet\. / },
  {
    args: ['dlq-retry', 'queued'],
    code: 1,
    says: 'no job "queued" in the dead letter queue. List its jobs with `queuectl dlq-list`.',
  },
  { args: ['dlq-retry', 'a\nb\u009b'], code: 1, says: /^no job "a\\nb\\x9b" in the dead letter queue/ },
  { args: ['dlq-retry'], code: 2, says: /^dlq-retry needs <id>/ },
  { args: ['config-get', 'colour'], code: 2, says: /^unknown config key "colour"\. Known keys: max_retries, / },
  { args: ['config-set', 'colour', '3'], code: 2, says: /^unknown config key "colour"\. / },
  { args: ['config-set', 'max_retries'], code: 2, says: /^config-set needs <value>/ },
  {
    args: ['config-set', 'max_retries', '-1'],
    code: 2,
    says: /^max_retries must be an integer from 0 to 1000, not -1/,
  },
  {
    args: ['config-set', 'max_retries', '1001'],
    code: 2,
    says: /^max_retries must be an integer from 0 to 1000, not 1001/,
  },
  {
    args: ['config-set', 'max_retries', 'many'],
    code: 2,
    says: /^max_retries must be an integer from 0 to 1000, not "many"/,
  },
  { args: ['config-set', 'max_retries', ''], code: 2, says: /^max_retries must be an integer from 0 to 1000, not ""/ },
  { args: ['config-set', 'backoff_base', '0.5'], code: 2, says: /^backoff_base must be a number from 1 to 3600/ },
  {
    args: ['config-set', 'backoff_jitter', '1.1'],
    code: 2,
    says: /^backoff_jitter must be a number from 0 to 1, not 1.1/,
  },
  { args: ['config-set', 'backoff_max', '-1'], code: 2, says: /^backoff_max must be a number from 0 to 1000000000/ },
  { args: ['config-set', 'job_timeout', 'never'], code: 2, says: /^job_timeout must be a number from 0 to 2147483/ },
  { args: ['config-set', 'kill_grace', '1e9'], code: 2, says: /^kill_grace must be a number from 0 to 3600/ },
  {
    args: ['enqueue', 'a', '--timeout', '1m'],
    code: 2,
    says: /^--timeout must be a number of seconds from 0 to 2147483/,
  },
  { args: ['enqueue', 'a', '--timeout', '-1'], code: 2, says: /^--timeout must be a number of seconds from 0/ },
  {
    args: ['enqueue', '{"command":"a","timeout":"5"}'],
    code: 2,
    says: /^"timeout" must be a number of seconds from 0 \(no limit\) to 2147483, not "5"/,
  },
  { args: ['worker-start', '--count', '0'], code: 2, says: /^--count must be an integer from 1 to 256, not "0"/ },
  { args: ['worker-start', '--count', '1.5'], code: 2, says: /^--count must be an integer from 1 to 256, not "1\.5"/ },
  { args: ['worker-start', '--count', '-1'], code: 2, says: /^--count must be an integer from 1 to 256, not "-1"/ },
  { args: ['worker-start', '--count', 'abc'], code: 2, says: /^--count must be an integer from 1 to 256, not "abc"/ },
  { args: ['worker-start', '--count', '1', '--count', '2'], code: 2, says: /^--count is given more than once/ },
  {
    args: ['worker-start', '--concurrency', '1001'],
    code: 2,
    says: /^--concurrency must be an integer from 1 to 1000/,
  },
  { args: ['worker-start', '3'], code: 2, says: /^unexpected argument "3" after worker-start/ },
  { args: ['worker'], code: 2, says: 'worker needs a subcommand. There are: worker start, worker stop.' },
  { args: ['dlq', 'rm'], code: 2, says: 'dlq has no subcommand "rm". There are: dlq list, dlq retry.' },
  // the command line as such
  { args: ['stat'], code: 2, says: 'unknown command "stat". Did you mean status? See `queuectl --help`.' },
  { args: ['frobnicate', '--foo'], code: 2, says: 'unknown command "frobnicate". See `queuectl --help`.' },
  { args: [''], code: 2, says: /^unknown command ""\. / },
  { args: ['help', 'frobnicate'], code: 2, says: 'unknown command "frobnicate". See `queuectl --help`.' },
  { args: ['frobnicate', '--json'], code: 2, says: 'unknown command "frobnicate". See `queuectl --help`.' },
  { args: ['--json'], code: 2, says: 'no command is given. See `queuectl --help`.' },
  { args: ['config', 'colour'], code: 2, says: /^config has no subcommand "colour"\. / },
  {
    args: ['config', 'max-retries'],
    code: 2,
    says: /^unknown config key "max-retries"\. Did you mean max_retries\? Known keys: /,
  },
  { args: ['config-set', 'max-retries', '5'], code: 2, says: /Did you mean max_retries\? Known keys: / },
  { args: ['config-set', 'a=b'], code: 2, says: 'config-set needs <value>. See `queuectl config-set --help`.' },
  { args: ['list', '--status'], code: 2, says: 'unknown flag --status. Did you mean --state?' },
  { args: ['logs', '-f', 'x'], code: 2, says: /^unknown flag -f\. It prints what there is so far; / },
  { args: ['logs', '-x', 'x'], code: 2, says: 'unknown flag -x. See `queuectl logs --help`.' },
  {
    args: ['status', '--jsn'],
    code: 2,
    says: 'unknown flag --jsn. Did you mean --json? See `queuectl status --help`.',
  },
  {
    args: ['status', '--count', '3'],
    code: 2,
    says: 'unknown flag --count. --count is a flag of run and worker-start. See `queuectl status --help`.',
  },
  { args: ['--foo'], code: 2, says: /^unknown flag --foo\. / },
  { args: ['status', '--json=yes'], code: 2, says: /^--json takes no value/ },
  { args: ['status', '--data-dir', ''], code: 2, says: /^--data-dir needs a value/ },
  { args: ['status', '--data-dir', 'a', '--store', 'b'], code: 2, says: /^--store and --data-dir exclude each other/ },
  {
    args: ['status', '--store', 'postgres://me:secret@host/db'],
    code: 2,
    says: '--store: this version has no PostgreSQL store. Give file:/path, or sqlite:/path/queue.db.',
  },
];

describe('bad input', { concurrency: 4 }, () => {
  let dataDir: string;
  before(async () => {
    dataDir = await filledStore();
  });
  const seesNothing = CASES.filter(({ code }) => code === 2);
  for (const each of seesNothing) test(titleOf(each), () => assertLeavesAlone(dataDir, each));
});

// One after the other: these look into the store, and the lock of one would be a change to the next.
describe('what the store refuses', () => {
  let dataDir: string;
  before(async () => {
    dataDir = await filledStore();
  });
  for (const each of CASES.filter(({ code }) => code === 1)) {
    test(titleOf(each), () => assertLeavesAlone(dataDir, each));
    test(`${titleOf(each)} --json`, () => assertLeavesAlone(dataDir, { ...each, args: [...each.args, '--json'] }));
  }
});

test('bad usage does not even make the store', async () => {
  const dataDir = join(tempStore(), 'store');
  for (const args of [
    ['enqueue', '{'],
    ['list', '--state', 'x'],
    ['config-set', 'max_retries', '-1'],
    ['worker-start', '--count=0'],
  ]) {
    assert.equal((await runCli(args, { dataDir })).code, 2);
    assert.ok(!existsSync(dataDir), args.join(' '));
  }
});

test('a data directory that is a file is refused, and the file is left alone', async () => {
  const dataDir = join(tempStore(), 'store');
  writeFileSync(dataDir, 'mine');
  for (const args of [
    ['status'],
    ['enqueue', 'a'],
    ['list'],
    ['config-set', 'max_retries', '5'],
    ['worker-start', '--json'],
  ]) {
    await assertRefused(args, { dataDir }, 1, /not a directory/);
    assert.equal(readFileSync(dataDir, 'utf8'), 'mine');
  }
});

test('a file of the store that cannot be read is named, and left alone', async () => {
  for (const [file, content] of [
    ['queue.json', '[\n{"id":"a",\n]\n'],
    ['queue.json', ''],
    ['queue.json', '{}'],
    ['dlq.json', '[{"id":"a"}]'],
    ['config.json', '{"max_retries":"x"}'],
  ] as const) {
    const dataDir = await filledStore();
    writeFileSync(join(dataDir, file), content);
    const earlier = readAll(dataDir);
    const commands =
      file === 'config.json' ? [['config-get'], ['enqueue', 'a']] : [['status'], ['list'], ['enqueue', 'a']];
    for (const args of commands) {
      await assertRefused(args, { dataDir }, 1, new RegExp(`${file} is damaged`));
      assert.deepEqual(readAll(dataDir), earlier, `${file} ${content} ${args}`);
    }
  }
});

function titleOf({ args }: Case): string {
  return `queuectl ${args.map((arg) => JSON.stringify(arg)).join(' ')}`;
}

async function assertLeavesAlone(dataDir: string, { args, code, says, input }: Case): Promise<void> {
  const earlier = readAll(dataDir);
  await assertRefused(args, { dataDir, ...(input === undefined ? {} : { input }) }, code, says);
  assert.deepEqual(readAll(dataDir), earlier, 'the store was changed');
}

async function assertRefused(args: readonly string[], options: RunOptions, code: 1 | 2, says: string | RegExp) {
  const result = await runCli(args, options);
  const isJson = args.some((arg) => arg.startsWith('--json'));
  const line = isJson ? lineOf(result.stderr, code) : /^queuectl: (.*)\n$/.exec(result.stderr)?.[1];
  assert.ok(line !== undefined, `not one line on stderr: ${JSON.stringify(result.stderr)}`);
  if (typeof says === 'string') assert.equal(line, says);
  else assert.match(line, says);
  assert.equal(result.code, code, line);
  assert.equal(result.stdout, '');
}

/** The text of an error in JSON, which is to be one line, and to have a code that goes with the exit code. */
function lineOf(stderr: string, exitCode: 1 | 2): string {
  assert.match(stderr, /^[^\n]+\n$/);
  const { error }: { error: { code: string; fact: string; remedy: string } } = JSON.parse(stderr);
  assert.equal(['USAGE', 'INVALID'].includes(error.code), exitCode === 2, error.code);
  assert.deepEqual(Object.keys(error).slice(0, 3), ['code', 'fact', 'remedy']);
  return visible(`${error.fact}. ${error.remedy}`);
}

/** A store at rest with a job `queued` in the queue and a job `buried` in the dead letter queue. */
async function filledStore(): Promise<string> {
  const dataDir = tempStore();
  writeFileSync(join(dataDir, 'dlq.json'), `[\n${JSON.stringify(deadEntry({ id: 'buried' }))}\n]\n`);
  const { code, stderr } = await runCli(['enqueue', 'true', '--id', 'queued'], { dataDir });
  assert.equal(code, 0, stderr);
  return dataDir;
}

/** Every file in a directory with its content. */
function readAll(dir: string): Record<string, string> {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(paths.sort().map((path) => [path, readFileSync(path, 'latin1')]));
}
