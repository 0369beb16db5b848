/** Explores one scenario, with one mutation or none, and prints what was found. A program of its own: see `installHooks`. */
import { CLOCK_MS, Explorer, type Findings } from './explorer.js';
import { MUTATIONS } from './mutations.js';
import { counts } from './promises.js';
import * as replay from './replay.js';
import { SCENARIOS } from './scenarios.js';
import { contentOf, Files, NO_DESCRIPTORS, System } from './simulatedFs.js';

export interface Order {
  readonly scenario: string;
  readonly mutation?: string;
  readonly isLong?: boolean;
}

export interface Report extends Findings {
  /** The local states met, and what those who looked at a state of the files saw and did. */
  readonly histories: number;
  readonly sights: number;
  readonly successions: number;
  /** How often a process may be halted; null for as often as possible. */
  readonly preemptions: number | null;
  readonly seconds: number;
}

const EARLIER_MS = 1_799_999_900_000;
const FOUNDER = 80;

async function filled(steps: (typeof SCENARIOS)[number]['before']): Promise<Files> {
  const { SIMULATED_DIR: dir } = replay;
  const names = [dir.slice(0, dir.lastIndexOf('/')), ...(steps.length > 0 ? [dir, `${dir}/lock`] : [])];
  const inodes = names.map((_, ino) => [ino, { content: undefined, mtime: 0, ctime: 0 }] as const);
  const empty = new Files(new Map(names.map((name, ino) => [name, ino])), new Map(inodes));
  const system = new System(
    empty,
    NO_DESCRIPTORS,
    replay.pidOf(FOUNDER),
    EARLIER_MS,
    () => false,
    () => false,
  );
  const program = { dir, clockMs: CLOCK_MS, role: 'command', steps } as const;
  const { failed } = await replay.runAlone(program, FOUNDER, system);
  if (failed !== undefined) throw new Error(failed);
  return system.files;
}

/** The same as a process leaves it that is killed after it has sealed the journal. */
function cutShort(files: Files): Files {
  const { SIMULATED_DIR: dir } = replay;
  const path = `${dir}/journal.ndjson`;
  const text = files.text(path) ?? '';
  const last = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '') as { first?: number; seq?: number };
  const seal = { seq: last.first ?? Number(last.seq) + 1, by: 'founder', seal: true };
  const sealed = files.withContent(path, contentOf(Buffer.from(`${text}${JSON.stringify(seal)}\n`)));
  const lock = sealed.names.get(`${dir}/lock/store.file`);
  if (lock === undefined) throw new Error('nobody has had the lock yet');
  return new Files(new Map(sealed.names).set(`${dir}/lock/store`, lock), sealed.inodes);
}

const order = JSON.parse(process.argv[2] ?? '') as Order;
const scenario = SCENARIOS.find(({ name }) => name === order.scenario);
const mutation = order.mutation === undefined ? {} : MUTATIONS[order.mutation];
if (scenario === undefined || mutation === undefined) throw new Error('there is no such scenario or mutation');

replay.installHooks();
const began = performance.now();
process.env.QUEUECTL_TRUST_DATA_DIR = '1'; // the simulated one has no owner
const filledFiles = await filled(scenario.before);
const files = scenario.cutShort === true ? cutShort(filledFiles) : filledFiles;
mutation.apply?.();
const preemptions = scenario.preemptions[order.isLong === true ? 1 : 0];
const findings = await new Explorer(scenario, files, preemptions, mutation.lie).explore();
const report: Report = {
  ...findings,
  ...counts(),
  histories: replay.counts().points,
  preemptions: Number.isFinite(preemptions) ? preemptions : null,
  seconds: (performance.now() - began) / 1000,
};
console.log(JSON.stringify(report));
