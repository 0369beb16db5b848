/** The pages: what can be told of them by looking. Whether they are true is for their readers to say. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { COMMANDS } from '../cli/commands/index.js';
import { checkJobInput } from '../db/model/input.js';
import { CONFIG_KEYS } from '../db/model/settings.js';
import { processingJob } from './helpers/jobFactory.js';

const ROOT = join(import.meta.dirname, '..');
const DOCS = join(ROOT, 'docs');
const README = join(ROOT, 'README.md');
const README_LINES_MAX = 300;
const PAGES = readdirSync(DOCS).map((name) => join(DOCS, name));
const OTHERS = ['CHANGELOG.md', 'CONTRIBUTING.md'].map((name) => join(ROOT, name));

const read = (file: string) => readFileSync(file, 'utf8');
/** What is between fences is output and programs. */
const prose = (file: string) => read(file).replace(/^```.*?^```$/gms, '');

/** A heading as GitHub makes it the target of a link. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
const anchorsOf = (file: string) => Array.from(prose(file).matchAll(/^#+ (.+)$/gm), ([, text = '']) => anchorOf(text));
const linksOf = (file: string) => Array.from(prose(file).matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target);

/** The text below a heading, up to the next one of the same level. */
function sectionOf(file: string, heading: string): string {
  const [, section] = prose(file).split(new RegExp(`^## ${heading}$`, 'm'));
  assert.ok(section !== undefined, `${relative(ROOT, file)} has no section "${heading}"`);
  return section.split(/^## /m)[0] ?? '';
}

/** Whoever gives another field is told them. */
function fieldsThatCanBeGiven(): string[] {
  try {
    checkJobInput({ command: 'true', none: 1 });
  } catch (error) {
    const [, names = ''] = /Known fields: (.*)\.$/.exec(error instanceof Error ? error.message : '') ?? [];
    assert.notEqual(names, '');
    return names.split(', ');
  }
  return assert.fail('it has let an unknown field pass');
}

test(`the README has at most ${README_LINES_MAX} lines`, () => {
  assert.ok(read(README).trimEnd().split('\n').length <= README_LINES_MAX);
});

test('every relative link leads to a file and a heading that are there', () => {
  const broken: string[] = [];
  for (const file of [README, ...OTHERS, ...PAGES]) {
    for (const link of linksOf(file).filter((target) => !/^[a-z]+:/.test(target))) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : join(dirname(file), path);
      const leads = existsSync(target) && (anchor === undefined || anchorsOf(target).includes(anchor));
      if (!leads) broken.push(`${relative(ROOT, file)}: ${link}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('the index links every page, and so does the README', () => {
  const isLinked = (from: string, page: string) =>
    linksOf(from).some((link) => join(dirname(from), link.split('#')[0] ?? '') === page);
  const index = join(DOCS, 'README.md');
  const missing = PAGES.filter((page) => page !== index && !(isLinked(index, page) && isLinked(README, page)));
  assert.deepEqual(missing, []);
});

test('every command has its row in the README and its section, with every flag, in cli.md', () => {
  const cli = join(DOCS, 'cli.md');
  const table = sectionOf(README, 'Commands');
  for (const { name, flags } of COMMANDS) {
    assert.ok(table.includes(`| [\`${name}`), `the README has no row for ${name}`);
    const section = sectionOf(cli, name);
    for (const flag of flags) assert.match(section, new RegExp(`\`--${flag.name}[\` ]`), `${name} has --${flag.name}`);
  }
});

test('every field of a job has its row in jobs.md, and in cli.md if it can be given', () => {
  const record = sectionOf(join(DOCS, 'jobs.md'), 'Fields');
  const input = sectionOf(join(DOCS, 'cli.md'), 'enqueue');
  const givable = fieldsThatCanBeGiven();
  for (const field of [...givable, ...Object.keys(processingJob())]) assert.ok(record.includes(`\`${field}\``), field);
  for (const field of givable) assert.ok(input.includes(` | \`${field}\` |`), field);
});

test('every setting has its row in cli.md', () => {
  const table = sectionOf(join(DOCS, 'cli.md'), 'config-set');
  for (const key of CONFIG_KEYS) assert.ok(table.includes(`\n| \`${key}\` |`), key);
});

test('every test that the guarantees name is there', () => {
  const named = sectionOf(join(DOCS, 'guarantees.md'), 'Fault by fault')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .flatMap((row) =>
      Array.from(
        row
          .split(' | ')
          .at(-1)
          ?.matchAll(/`([a-z]+\/[\w/]*)`/gi) ?? [],
        ([, path = '']) => path,
      ),
    );
  assert.ok(named.length > 30);
  const forms = (path: string) => [path, `${path}.ts`, `${path}.test.ts`].map((form) => join(ROOT, 'test', form));
  assert.deepEqual(
    named.filter((path) => !forms(path).some(existsSync)),
    [],
  );
});
