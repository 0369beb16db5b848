/** `npm run chaos`: the storm for minutes, then the long form of the tests that inject faults. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TestStore } from '../../test/integration/support.js';
import { Storm } from './storm.js';

const USAGE = `Usage: npm run chaos -- [--kills <n>] [--rounds <n>] [--seed <n>] [--storm]

  --kills    how often each round kills; 250 unless told
  --rounds   how many stores are tormented, one after the other; 3 unless told
  --seed     the seed of the first round, as a former run has printed it
  --storm    only the rounds, without the tests that follow
`;

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
      storm: { type: 'boolean', default: false },
    },
  });
  const [kills = 0, rounds = 0, seed = 0] = [values.kills, values.rounds, values.seed].map(Number);
  if (![kills, rounds, seed].every(Number.isSafeInteger)) throw new Error('not a number');
  return { kills, rounds, seed, storm: values.storm };
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

const { kills, rounds, seed, storm } = readCommandLineOrEnd();
for (let round = 0; round < rounds; round++) await rage(seed + round, kills);
if (!storm) process.exitCode = runTests();
