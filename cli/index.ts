/** The command line: finds the command, runs it, and puts what went wrong into one line. */

import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { findConfigKey } from '../db/model/settings.js';
import packageJson from '../package.json' with { type: 'json' };
import { QueuectlError } from '../utils/errors.js';
import { quoteWord } from '../utils/shell.js';
import { mayBeLossy, quote } from '../utils/text.js';
import { COMMANDS } from './commands/index.js';
import { findPlace, type Place, pathOf } from './line/address.js';
import { adviseInstead, adviseJob, forPlace, type JobAdvice } from './line/advice.js';
import type { Command } from './line/command.js';
import { type CommandLine, readCommandLine, readOptions } from './line/commandLine.js';
import { loadEnvironment } from './line/environment.js';
import { ALL_FLAGS, GLOBAL_FLAGS, type GlobalOptions } from './line/flags.js';
import { outputError, print, printResult, reportError, speakJson, talk, warn } from './text/output.js';

/**
 * Runs one command line. Never throws: it prints what went wrong and sets the exit code.
 *
 * @param args what follows the name of the program
 * @param programFile the file the program was started from
 */
export async function main(args: readonly string[], programFile: string): Promise<void> {
  process.on('uncaughtException', (error) => process.exit(reportError(error)));
  try {
    const commandLine = readCommandLine(args, ALL_FLAGS);
    if (commandLine.given.has('json')) speakJson();
    if (args.some(mayBeLossy)) checkBytes();
    await run(commandLine, programFile);
    const error = outputError();
    if (error !== undefined) throw error;
  } catch (error) {
    process.exitCode = reportError(error);
  }
}

/** @throws QueuectlError USAGE: this program was not started with UTF-8 */
function checkBytes(): void {
  if (process.platform === 'linux' && isUtf8(readFileSync('/proc/self/cmdline'))) return; // the character itself was typed
  const remedy = 'Rename the file; put a command that has other bytes into a script, and enqueue that.';
  throw new QueuectlError('USAGE', 'what was typed is not UTF-8', remedy);
}

async function run(commandLine: CommandLine, programFile: string): Promise<void> {
  const asksForHelp = commandLine.words[0] === 'help';
  const words = asksForHelp ? commandLine.words.slice(1) : commandLine.words;
  const wantsHelp = asksForHelp || commandLine.given.has('help');
  const found = findCommand(words);
  const group = groupOf(words);
  if (found === undefined && words.length > 0 && !(wantsHelp && group !== undefined)) {
    throw await unknownCommand(words);
  }
  const { options, globals } = await readFlags(commandLine, found?.command);
  if (!asksForHelp && (globals.help || globals.version) && found !== undefined) checkWhoseFlag(commandLine, found);
  if (globals.version) return printResult(globals.json, packageJson.version, { version: packageJson.version });
  if (wantsHelp || found === undefined) {
    if (!wantsHelp && globals.json) throw new QueuectlError('USAGE', 'no command is given', 'See `queuectl --help`.');
    const text = await helpFor(words.length === 1 ? (group ?? found?.command) : found?.command, globals, programFile);
    if (wantsHelp) return print(text);
    talk(text);
    process.exitCode = 2;
    return;
  }
  const { command, rest } = found;
  await checkWords(command, rest, commandLine.args);
  const place = locate(globals, programFile);
  if (process.env.MONGO_URI && !place.isNamed) warnOfMongo(pathOf(place));
  const literal = Math.min(commandLine.literal, rest.length);
  const context = { place, json: globals.json ?? false, args: commandLine.args, literal };
  try {
    await command.run({ ...options, ...context }, rest);
  } catch (error) {
    throw error instanceof QueuectlError ? forPlace(error, place) : error;
  }
}

function locate(globals: GlobalOptions, programFile: string): Place {
  loadEnvironment(globals['env-file'], programFile);
  return findPlace({ store: globals.store, dataDir: globals['data-dir'] }, { env: process.env, programFile });
}

/** @param subject what it is about: a command, a group of them, or all */
async function helpFor(
  subject: Command | readonly Command[] = COMMANDS,
  globals: GlobalOptions,
  programFile: string,
): Promise<string> {
  const { commandHelp, overview } = await import('./line/help.js'); // yargs, which takes its time to load
  const whereabouts = describePlace(globals, programFile);
  return 'name' in subject ? commandHelp(subject, whereabouts) : overview(subject, whereabouts);
}

/** Where the queue is, or why that cannot be told. */
function describePlace(globals: GlobalOptions, programFile: string): string {
  try {
    return `The queue is in ${pathOf(locate(globals, programFile))}`;
  } catch (error) {
    if (error instanceof QueuectlError) return error.message;
    throw error;
  }
}

/** What the flags say; those of every command apart, too. */
async function readFlags(commandLine: CommandLine, command: Command | undefined) {
  const { args, given } = commandLine;
  const accepted = acceptedBy(command);
  const isUnknown = (name: string) => accepted.every((flag) => flag.name !== name);
  const help = helpOf(command);
  if (![...given.keys()].some(isUnknown)) {
    const options: Readonly<Record<string, unknown>> = readOptions(commandLine, accepted, help);
    return { options, globals: options as GlobalOptions }; // they are among the accepted ones
  }
  const { adviseInPlaceOfFlag } = await import('./line/foreign.js');
  const job = command?.name === 'enqueue' ? adviseJob(args, accepted) : undefined;
  const instead = (name: string, value: unknown) => {
    const owners = COMMANDS.filter(({ flags }) => flags.some((flag) => flag.name === name)).map((each) => each.name);
    if (owners.length === 0) {
      return adviseInPlaceOfFlag(command?.name, name, value, (...words) => adviseInstead(words, args, accepted));
    }
    const fact = `--${name} is a flag of ${owners.join(' and ')}`;
    return job === undefined ? `${fact}. See \`${help}\`.` : `${fact}. ${sentenceOf(job)}`;
  };
  const dashes = `See \`${help}\`; what begins with - but is no flag goes after a --.`;
  const otherwise = job === undefined ? dashes : sentenceOf(job);
  const options = readOptions(
    commandLine,
    accepted,
    help,
    instead,
    command?.name === 'enqueue' ? otherwise : undefined,
  );
  return { options, globals: options as GlobalOptions };
}

const acceptedBy = (command: Command | undefined) => [...(command?.flags ?? []), ...GLOBAL_FLAGS];

const sentenceOf = ({ how, line }: JobAdvice) =>
  `${{ dashes: 'What is not for queuectl goes after a --', quotes: 'The whole command is one argument', without: 'Without it' }[how]}: ${line}`;

/** @throws QueuectlError USAGE: a job is given, and help or the version may be asked of its program */
function checkWhoseFlag({ args }: CommandLine, { command, rest }: { command: Command; rest: readonly string[] }): void {
  if (command.name !== 'enqueue' || rest.length === 0 || (rest.length === 1 && rest[0] === '-')) return;
  const typed = args.find((arg) => ['--help', '-h', '--version', '-v'].includes(arg)) ?? '--help';
  const job = adviseJob(args, acceptedBy(command));
  throw new QueuectlError(
    'USAGE',
    `${typed} beside a job may be meant for its program or for queuectl`,
    job === undefined ? `Give one of them; what is the program's goes after a --.` : sentenceOf(job),
  );
}

const helpOf = (command: Command | undefined) =>
  command === undefined ? 'queuectl --help' : `queuectl ${command.name} --help`;

/** The command that the words begin with, as one word or as two, and the words after it. */
function findCommand(words: readonly string[]): { command: Command; rest: readonly string[] } | undefined {
  for (const length of [1, 2]) {
    const name = words.slice(0, length).join('-');
    const command = COMMANDS.find((known) => known.name === name || (words.length === 1 && known.short === name));
    if (command !== undefined) return { command, rest: words.slice(length) };
  }
  const [first, key] = words;
  const config = COMMANDS.find(({ name }) => name === 'config-get');
  if (config !== undefined && first === config.short && findConfigKey(key?.replaceAll('-', '_') ?? '') !== undefined) {
    return { command: config, rest: words.slice(1) };
  }
  return undefined;
}

/** The commands whose two-word form begins with the first word. */
function groupOf([first]: readonly string[]): Command[] | undefined {
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first}-`));
  return group.length === 0 ? undefined : group;
}

async function unknownCommand(words: readonly string[]): Promise<QueuectlError> {
  const [first = '', second] = words;
  const forms = (groupOf(words) ?? []).map(({ name }) => name.replace('-', ' '));
  if (forms.length > 0) {
    const fact = second === undefined ? `${first} needs a subcommand` : `${first} has no subcommand ${quote(second)}`;
    return new QueuectlError('USAGE', fact, `There are: ${forms.join(', ')}.`);
  }
  const { adviseInPlaceOf } = await import('./line/foreign.js');
  const advice = adviseInPlaceOf(
    first,
    COMMANDS.map(({ name }) => name),
  );
  return new QueuectlError('USAGE', `unknown command ${quote(first)}`, advice);
}

/** @throws QueuectlError USAGE: a word is missing, or one too many */
async function checkWords(command: Command, given: readonly string[], args: readonly string[]): Promise<void> {
  const { name, words } = command;
  const advice = async () => {
    const { adviseInPlaceOfWords } = await import('./line/foreign.js');
    const meant = adviseInPlaceOfWords(name, given);
    if (meant === undefined) return `See \`${helpOf(command)}\`.`;
    return `Did you mean \`${adviseInstead(meant, args, acceptedBy(command))}\`?`;
  };
  const missing = words[given.length];
  if (missing?.startsWith('<')) {
    throw new QueuectlError('USAGE', `${name} needs ${missing}`, await advice());
  }
  const extra = words.at(-1)?.endsWith('...]') ? undefined : given[words.length];
  if (extra !== undefined) {
    throw new QueuectlError('USAGE', `unexpected argument ${quote(extra)} after ${name}`, await advice());
  }
}

function warnOfMongo(path: string): void {
  const end = `set QUEUECTL_DATA_DIR=${quoteWord(path)} to keep it there without this warning`;
  warn(`MONGO_URI is set, but this version keeps no queue in MongoDB: it is in ${path}; ${end}`);
}
