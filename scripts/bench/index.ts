/**
 * Measures queuectl beside something that runs in the same minute on the same machine, and prints one table.
 * docs/performance.md says what each figure means.
 */
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Bench, PROJECT } from './bench.js';
import { QUEUECTL } from './benchStore.js';
import { bulk } from './bulk.js';
import { crowd, drain } from './drain.js';
import type { Figure, Row, Skipped } from './figure.js';
import { gigabyte } from './gigabyte.js';
import { idle } from './idle.js';
import { large } from './large.js';
import { memory } from './memory.js';
import { peers } from './peers.js';
import { asJson, describeMachine, details, table } from './report.js';
import { longQueue, startUp } from './startUp.js';
import { turns } from './turns.js';
import { wakeUp } from './wakeUp.js';

const FIGURES: readonly Figure[] = [
  turns,
  drain,
  ...peers,
  bulk,
  longQueue,
  startUp,
  wakeUp,
  idle,
  crowd,
  memory,
  large,
  gigabyte,
];

const USAGE = `Usage: npm run bench -- [--full] [--only <name>]... [--json]

  --full   large sizes and more rounds: half an hour instead of two minutes
  --only   one measurement: ${FIGURES.map(({ name }) => name).join(', ')}
  --json   print JSON instead of the table
`;

const say = (text: string) => process.stderr.write(`${text}\n`);

const WRONG_USAGE = 2;

function readCommandLine() {
  const { values } = parseArgs({
    options: {
      full: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { only } = values;
  const unknown = only?.find((name) => !FIGURES.some((figure) => figure.name === name));
  if (unknown !== undefined) throw new Error(`there is no measurement ${unknown}`);
  return { ...values, figures: FIGURES.filter(({ name }) => only?.includes(name) ?? true) };
}

function readCommandLineOrEnd() {
  try {
    return readCommandLine();
  } catch (error) {
    say(`bench: ${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exit(WRONG_USAGE);
  }
}

/** @returns why what is in dist/ is not what the sources say; undefined when it is */
function findDistFault(): string | undefined {
  if (!fs.existsSync(QUEUECTL)) return 'nothing is built';
  const time = (file: string) => fs.statSync(file).mtimeMs;
  const dist = dirname(QUEUECTL);
  const builtAt = Math.min(...fs.readdirSync(dist).map((name) => time(join(dist, name))));
  const sources = ['cli', 'core', 'db', 'utils'].flatMap((folder) =>
    fs.readdirSync(join(PROJECT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  );
  const newer = sources.find((name) => /\.(ts|pl)$/.test(name) && time(join(PROJECT, name)) > builtAt);
  return newer === undefined ? undefined : `what is built is older than ${newer}`;
}

async function measure(figure: Figure, bench: Bench): Promise<(Row | Skipped)[]> {
  const skipped = figure.obstacle?.(bench);
  if (skipped !== undefined) return [{ what: figure.name, skipped }];
  const began = performance.now();
  const rows = await figure.measure(bench);
  say(`${figure.name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return rows;
}

async function main(): Promise<void> {
  const { figures, full, json, help } = readCommandLineOrEnd();
  if (help) {
    process.stdout.write(USAGE);
    return;
  }
  const fault = findDistFault();
  if (fault !== undefined) throw new Error(`${fault}. Run \`npm run build\` first.`);
  const bench = new Bench(full);
  const rows: (Row | Skipped)[] = [];
  try {
    for (const figure of figures) rows.push(...(await measure(figure, bench)));
  } finally {
    await bench.close();
  }
  const machine = describeMachine();
  process.stdout.write(
    json
      ? `${JSON.stringify({ machine, full, rows: asJson(rows) }, null, 2)}\n`
      : `${machine}\n\n${table(rows)}\n\n${details(rows)}\n`,
  );
}

try {
  await main();
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
process.exit(); // a figure that failed may have left something open
