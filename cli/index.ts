/** The command line: finds the command, runs it, and puts what went wrong into one line. */

import packageJson from '../package.json' with { type: 'json' };
import { QueuectlError } from '../utils/errors.js';
import { quote } from '../utils/text.js';
import { configGet } from './commands/configGet.js';
import { configSet } from './commands/configSet.js';
import { dlqList } from './commands/dlqList.js';
import { dlqRetry } from './commands/dlqRetry.js';
import { doctor } from './commands/doctor.js';
import { enqueue } from './commands/enqueue.js';
import { list } from './commands/list.js';
import { logs } from './commands/logs.js';
import { status } from './commands/status.js';
import { workerStart } from './commands/workerStart.js';
import { workerStop } from './commands/workerStop.js';
import { findDataDir } from './line/address.js';
import type { Command } from './line/command.js';
import { checkFlags, GLOBAL_FLAGS, readCommandLine } from './line/flags.js';
import { nearest } from './line/nearest.js';
import { outputFailure, print, printResult, reportError, talk } from './text/output.js';

const COMMANDS: readonly Command[] = [
  enqueue,
  workerStart,
  workerStop,
  status,
  list,
  logs,
  dlqList,
  dlqRetry,
  configGet,
  configSet,
  doctor,
];

/**
 * Runs one command line. Never throws: it prints what went wrong and sets the exit code.
 *
 * @param args what follows the name of the program
 * @param programFile the file the program was started from
 */
export async function main(args: readonly string[], programFile: string): Promise<void> {
  process.on('uncaughtException', (error) => process.exit(reportError(error)));
  try {
    await run(args, programFile);
    const failure = outputFailure();
    if (failure !== undefined) throw failure;
  } catch (error) {
    process.exitCode = reportError(error);
  }
}

async function run(args: readonly string[], programFile: string): Promise<void> {
  const commandLine = readCommandLine(args);
  const { flags, words } = commandLine;
  const found = findCommand(words);
  const help = found === undefined ? 'queuectl --help' : `queuectl ${found.command.name} --help`;
  if (found === undefined && words.length > 0 && !flags.help) throw unknownCommand(words);
  checkFlags(args, commandLine, [...(found?.command.flags ?? []), ...GLOBAL_FLAGS], help);
  if (flags.version) return printResult(flags.json, packageJson.version, { version: packageJson.version });
  const dataDir = findDataDir(flags['data-dir'], process.env, programFile);
  if (flags.help || found === undefined) {
    const { commandHelp, overview } = await import('./line/help.js'); // yargs, which takes its time to load
    if (flags.help) {
      const group = groupOf(words[0]) ?? COMMANDS;
      return print(await (found ? commandHelp(found.command, dataDir) : overview(group, dataDir)));
    }
    talk(await overview(COMMANDS, dataDir));
    process.exitCode = 2;
    return;
  }
  const { command, rest } = found;
  checkWords(command, rest, help);
  await command.run({ ...flags, dataDir }, ...rest);
}

/** The command that the words begin with, as one word or as two, and the words after it. */
function findCommand(words: readonly string[]): { command: Command; rest: readonly string[] } | undefined {
  for (const length of [1, 2]) {
    const name = words.slice(0, length).join('-');
    const command = COMMANDS.find((known) => known.name === name);
    if (command !== undefined) return { command, rest: words.slice(length) };
  }
  return undefined;
}

/** The commands whose two-word form begins with this word. */
function groupOf(word: string | undefined): Command[] | undefined {
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${word}-`));
  return group.length === 0 ? undefined : group;
}

function unknownCommand([first = '', second]: readonly string[]): QueuectlError {
  const forms = (groupOf(first) ?? []).map(({ name }) => name.replace('-', ' '));
  if (forms.length > 0) {
    const fact = second === undefined ? `${first} needs a subcommand` : `${first} has no subcommand ${quote(second)}`;
    return new QueuectlError('USAGE', fact, `There are: ${forms.join(', ')}.`);
  }
  const names = COMMANDS.map(({ name }) => name);
  const meant = nearest(first, names);
  const remedy = `${meant === undefined ? '' : `Did you mean ${meant}? `}See \`queuectl --help\`.`;
  return new QueuectlError('USAGE', `unknown command ${quote(first)}`, remedy);
}

/** @throws QueuectlError USAGE: a word is missing, or one too many */
function checkWords({ name, words }: Command, given: readonly string[], help: string): void {
  const missing = words[given.length];
  if (missing?.startsWith('<')) {
    throw new QueuectlError('USAGE', `${name} needs ${missing}`, `See \`${help}\`.`);
  }
  const extra = words.at(-1)?.endsWith('...]') ? undefined : given[words.length];
  if (extra !== undefined) {
    throw new QueuectlError('USAGE', `unexpected argument ${quote(extra)} after ${name}`, `See \`${help}\`.`);
  }
}
