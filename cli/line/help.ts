import yargs from 'yargs';
import { INPUT_FIELDS } from '../../db/model/input.js';
import { CONFIG_KEYS, CONFIG_MEANINGS, configWords, DEFAULT_CONFIG } from '../../db/model/settings.js';
import { visible } from '../text/output.js';
import type { Command, Declaration } from './command.js';
import { type Flag, GLOBAL_FLAGS } from './flags.js';

/** The help text of one command. @param whereabouts what it says of where the queue is */
export function commandHelp(command: Declaration, whereabouts: string): Promise<string> {
  const { name, words, summary, flags, examples, failure, table } = command;
  return page(
    [name, ...words].join(' '),
    summary,
    [...flags, ...GLOBAL_FLAGS],
    [
      ...(table === undefined ? [] : [TABLES[table]()]),
      exampleText(examples),
      `${exitCodes(failure)}\n\n${visible(whereabouts)}`,
    ],
  ).getHelp();
}

/** The help text that lists commands. */
export function overview(commands: readonly Command[], whereabouts: string): Promise<string> {
  const examples = exampleText([
    [`enqueue 'echo hi'`, 'add a job'],
    ['worker-start --count 2', 'run the jobs'],
    ['help enqueue', 'everything about one command'],
    ['worker start', 'a name with a hyphen may be typed as two words'],
  ]);
  const help = page('<command>', 'A background job queue for one machine.', GLOBAL_FLAGS, [
    examples,
    `${exitCodes()}\n\n${visible(whereabouts)}`,
  ]);
  for (const { name, short, words, summary } of commands) {
    help.command([name, ...words].join(' '), short === undefined ? summary : `${summary} (short: ${short})`);
  }
  return help.getHelp();
}

const page = (usage: string, summary: string, flags: readonly Flag[], sections: readonly string[]) =>
  yargs()
    .scriptName('queuectl')
    .locale('en')
    .wrap(width())
    .help(false)
    .version(false)
    .usage(`Usage: queuectl ${usage}\n\n${summary}`)
    .options(Object.fromEntries(flags.map((flag) => [flag.name, optionOf(flag)])))
    // Not as yargs' examples: it breaks a line in the middle of a command.
    .epilogue(sections.join('\n\n'));

const optionOf = ({ alias, takes, describe }: Flag) => ({
  describe: takes === undefined ? describe : `${describe} [${takes}]`,
  ...(alias === undefined ? {} : { alias }),
});

const exampleText = (examples: Declaration['examples']) =>
  `Examples:\n${examples.map(([line, meaning]) => `  # ${meaning}\n  queuectl ${line}`).join('\n')}`;

const exitCodes = (failure = 'it failed') =>
  lay('Exit codes:', [
    ['0', 'done'],
    ['1', failure],
    ['2', 'wrong usage or input'],
  ]);

const TABLES: Record<NonNullable<Declaration['table']>, () => string> = {
  fields: () =>
    lay(
      'Fields of a job in JSON:',
      Object.entries(INPUT_FIELDS).map(([field, { rule, meaning }]) => [field, `${rule.words}: ${meaning}`]),
    ),
  settings: () =>
    lay(
      'Settings:',
      CONFIG_KEYS.map((key) => [key, `${configWords(key)}: ${CONFIG_MEANINGS[key]} (default: ${DEFAULT_CONFIG[key]})`]),
    ),
};

/** Names in a column, and what they mean in another. */
function lay(title: string, rows: readonly (readonly [name: string, meaning: string])[]): string {
  const indent = 4 + Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, meaning]) => {
    const wrapped = wrap(meaning, width() - indent).join(`\n${' '.repeat(indent)}`);
    return `  ${name}`.padEnd(indent) + wrapped;
  });
  return [title, ...lines].join('\n');
}

function wrap(text: string, limit: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > limit) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const width = () => Math.min(process.stdout.columns ?? 100, 100);
