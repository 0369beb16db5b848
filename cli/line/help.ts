import yargs from 'yargs';
import { visible } from '../text/output.js';
import type { Command } from './command.js';
import { FLAGS, type FlagName, GLOBAL_FLAGS } from './flags.js';

/** The help text of one command. */
export function commandHelp({ name, words, summary, flags, examples }: Command, dataDir: string): Promise<string> {
  return page([name, ...words].join(' '), summary, [...flags, ...GLOBAL_FLAGS], examples, dataDir).getHelp();
}

/** The help text that lists commands. */
export function overview(commands: readonly Command[], dataDir: string): Promise<string> {
  const examples = [
    [`enqueue 'echo hi'`, 'add a job'],
    ['worker-start --count 2', 'run the jobs'],
    ['enqueue --help', 'everything about one command'],
    ['worker start', 'a name with a hyphen may be typed as two words'],
  ] as const;
  const help = page('<command>', 'A background job queue for one machine.', GLOBAL_FLAGS, examples, dataDir);
  for (const { name, words, summary } of commands) help.command([name, ...words].join(' '), summary);
  return help.getHelp();
}

const page = (
  usage: string,
  summary: string,
  flags: readonly FlagName[],
  examples: Command['examples'],
  dataDir: string,
) =>
  yargs()
    .scriptName('queuectl')
    .locale('en')
    .wrap(Math.min(process.stdout.columns ?? 100, 100))
    .updateStrings({ string: 'value', boolean: 'switch' })
    .help(false)
    .version(false)
    .usage(`Usage: queuectl ${usage}\n\n${summary}`)
    .options(Object.fromEntries(flags.map((name) => [name, FLAGS[name]])))
    // Not as yargs' examples: it breaks a line in the middle of a command.
    .epilogue(
      `Examples:\n${examples.map(([line, meaning]) => `  # ${meaning}\n  queuectl ${line}`).join('\n')}\n\nThe queue is in ${visible(dataDir)}`,
    );
