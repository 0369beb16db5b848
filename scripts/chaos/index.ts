/** `npm run chaos`: the storm for minutes, on every store, then the long form of the tests that inject faults. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TestStore } from '../../test/integration/support.js';
import { Storm } from './storm.js';

const USAGE = `Usage: npm run chaos -- [--kills <n>] [--rounds <n>] [--seed <n>] [--store <kind>] [--storm]

  --kills    how often each round kills; 250 unless told
  --rounds   how many stores of each kind are tormented, one after the other; 3 unless told
  --store    file or sqlite; both unless told
  --seed     the seed of the first round, as a former run has printed it
  --storm    only the rounds, without the tests that follow
`;

/** Of stores. The tests, and what is theirs here, go by a variable. */
const KINDS: readonly string[] = ['file', 'sqlite'];
const VARIABLE = 'QUEUECTL_TEST_STORE';
const PROJECT = join(import.meta.dirname, '..', '..');
/** Whose tests have a long form. */
const TESTS = ['test/integration/chaos.test.ts', 'test/integration/nasty.test.ts', 'test/faults', 'test/model'];
/** A round ends after so long, however often it has killed by then. */
const ROUND_SECONDS = 150;
const WRONG_USAGE = 2;

const say = (text: string) => process.stdout.write(`${text}\n`);

function readCommandLine() {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '250' },
      rounds: { type: 'string', default: '3' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      store: { type: 'string' },
      storm: { type: 'boolean', default: false },
    },
  });
  const [kills = 0, rounds = 0, seed = 0] = [values.kills, values.rounds, values.seed].map(Number);
  if (![kills, rounds, seed].every(Number.isSafeInteger)) throw new Error('not a number');
  const { store } = values;
  if (store !== undefined && !KINDS.includes(store)) throw new Error(`there is no store ${store}`);
  return { kills, rounds, seed, kinds: store === undefined ? KINDS : [store], storm: values.storm };
}

async function rage(seed: number, kills: number): Promise<void> {
  say(`seed ${seed}, ${kills} kills`);
  const began = performance.now();
  const store = new TestStore();
  try {
    const storm = new Storm(store, { seed, kills, seconds: ROUND_SECONDS });
    await storm.rage();
    await store.assertNothingLeft();
    say(`  ${Math.round((performance.now() - began) / 1000)} s, ${JSON.stringify(storm.toll)}`);
  } finally {
    await store.remove();
  }
}

function testFiles(path: string): string[] {
  if (!fs.existsSync(path)) return [];
  if (path.endsWith('.ts')) return [path];
  const names = fs.readdirSync(path, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(path, name));
}

/** Runs the rounds on one kind of store, in a process that has the variable. @returns the exit code */
function rageOn(kind: string, { seed, kills, rounds }: { seed: number; kills: number; rounds: number }): number {
  say(`store ${kind}`);
  const args = [
    '--kills',
    String(kills),
    '--rounds',
    String(rounds),
    '--seed',
    String(seed),
    '--store',
    kind,
    '--storm',
  ];
  const { status } = spawnSync(process.execPath, [...process.execArgv, import.meta.filename, ...args], {
    env: { ...process.env, [VARIABLE]: kind },
    stdio: 'inherit',
  });
  return status ?? 1;
}

/** @returns the exit code */
function runTests(): number {
  const files = TESTS.flatMap((path) => testFiles(join(PROJECT, path)));
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', '--test', '--test-concurrency=1', ...files], {
    cwd: PROJECT,
    env: { ...process.env, QUEUECTL_CHAOS: '1' },
    stdio: 'inherit',
  });
  return status ?? 1;
}

function readCommandLineOrEnd() {
  try {
    return readCommandLine();
  } catch (error) {
    process.stderr.write(`chaos: ${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exit(WRONG_USAGE);
  }
}

const { kinds, storm, ...plan } = readCommandLineOrEnd();
if (kinds.length === 1 && process.env[VARIABLE] === kinds[0] && storm) {
  for (let round = 0; round < plan.rounds; round++) await rage(plan.seed + round, plan.kills);
} else {
  for (const kind of kinds) process.exitCode ||= rageOn(kind, plan);
  if (!storm && !process.exitCode) process.exitCode = runTests();
}
