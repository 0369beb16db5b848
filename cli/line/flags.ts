/** Every flag there is, and what a command line says. */
import type { Options } from 'yargs';
import { Parser } from 'yargs/helpers';
import { LISTED_STATES } from '../../db/model/job.js';
import { QueuectlError } from '../../utils/errors.js';
import { nearest } from './nearest.js';

/** A flag has one meaning wherever it is accepted; one with a value is a string until its command has checked it. */
export const FLAGS = {
  id: { type: 'string', describe: 'The id of the job (default: a generated one)' },
  'max-retries': { type: 'string', describe: 'Retries after the first attempt (default: the setting max_retries)' },
  delay: { type: 'string', describe: 'Not run before this many seconds from now' },
  'run-at': { type: 'string', describe: 'Not run before this time, in milliseconds since the epoch' },
  priority: { type: 'string', describe: 'An integer; higher runs first (default: 0)' },
  timeout: { type: 'string', describe: 'Seconds that an attempt may last (default: the setting job_timeout)' },
  file: { type: 'string', describe: 'Read the jobs from this file, one per line' },
  state: { type: 'string', describe: `Only jobs in this state: ${LISTED_STATES.join(', ')}` },
  count: { type: 'string', describe: 'How many worker processes, 1 to 256 (default: 1)' },
  concurrency: { type: 'string', describe: 'How many jobs each worker runs at once, 1 to 1000 (default: 1)' },
  foreground: { type: 'boolean', describe: 'Stay, and show each job start and end' },
  now: { type: 'boolean', describe: 'End the running commands and give their jobs back' },
  fix: { type: 'boolean', describe: 'Repair what can be repaired, and keep a copy of what is replaced' },
  'data-dir': { type: 'string', describe: 'The directory the queue is in (default: $QUEUECTL_DATA_DIR, or see below)' },
  json: { type: 'boolean', describe: 'Print one JSON value and nothing else' },
  help: { type: 'boolean', alias: 'h', describe: 'Show help' },
  version: { type: 'boolean', describe: 'Show the version' },
} as const satisfies Record<string, Options>;

export type FlagName = keyof typeof FLAGS;
export type Flags = {
  readonly [F in FlagName]?: ((typeof FLAGS)[F]['type'] extends 'boolean' ? boolean : string) | undefined;
};

export const GLOBAL_FLAGS: readonly FlagName[] = ['data-dir', 'json', 'help', 'version'];

const namesOfType = (wanted: 'string' | 'boolean') =>
  Object.entries(FLAGS).flatMap(([name, { type }]) => (type === wanted ? [name] : []));

/** Words stay as typed, and a flag has one name. */
const PARSER_OPTIONS = {
  string: namesOfType('string'),
  boolean: namesOfType('boolean'),
  alias: { help: [FLAGS.help.alias] },
  configuration: {
    'boolean-negation': false,
    'camel-case-expansion': false,
    'dot-notation': false,
    'parse-numbers': false,
    'parse-positional-numbers': false,
  },
};

export interface CommandLine {
  /** The command and its arguments, in order; all that follows a `--` too. */
  readonly words: readonly string[];
  readonly flags: Flags;
  /** The flags that were given, known or not, without their dashes. */
  readonly given: readonly string[];
}

/**
 * Reads a command line. Whether its flags may be given is left to `checkFlags`.
 *
 * Only yargs' parser is used here. With its commands it would take `-` and a word `help` among the arguments for its
 * own, and lay out the help text at every call (10 ms).
 */
export function readCommandLine(args: readonly string[]): CommandLine {
  const { _: words, h: _help, ...rest } = Parser(closeSwitches(args), PARSER_OPTIONS);
  const flags = rest as Flags; // of the types the parser was told; `checkFlags` sees to names and values
  const given = Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [] : [flag]));
  return { words: words.map(String), flags, given };
}

/** The parser takes a word `true` or `false` behind a switch for its value, but it may well be the job. */
function closeSwitches(args: readonly string[]): string[] {
  const end = args.includes('--') ? args.indexOf('--') : args.length;
  const isSwitch = (arg: string) => PARSER_OPTIONS.boolean.some((name) => arg === `--${name}`);
  return args.map((arg, at) => (at < end && isSwitch(arg) ? `${arg}=true` : arg));
}

/**
 * Refuses what yargs would let pass: a flag that is unknown, given twice, or without its value.
 *
 * @param accepted the flags of the command
 * @param help what to type for help
 * @throws QueuectlError USAGE
 */
export function checkFlags(
  args: readonly string[],
  { words, flags, given }: CommandLine,
  accepted: readonly FlagName[],
  help: string,
): void {
  const usage = (fact: string, remedy = `See \`${help}\`.`) => new QueuectlError('USAGE', fact, remedy);
  const beforeDashes = args.slice(0, args.includes('--') ? args.indexOf('--') : args.length);
  for (const flag of given) {
    const known = accepted.find((name) => name === flag);
    if (known === undefined) {
      const meant = nearest(flag, accepted);
      throw usage(
        `unknown flag ${dashed(flag)}`,
        meant === undefined ? remedyForFlag(words, help) : `Did you mean ${dashed(meant)}? See \`${help}\`.`,
      );
    }
    const value: unknown = flags[known];
    if (Array.isArray(value)) throw usage(`${dashed(flag)} is given more than once`, 'Give it once.');
    if (value === '') throw usage(`${dashed(flag)} needs a value`);
    if (typeof value === 'boolean' && beforeDashes.some((arg) => arg.startsWith(`${dashed(flag)}=`))) {
      throw usage(`${dashed(flag)} takes no value`);
    }
  }
}

const remedyForFlag = (words: readonly string[], help: string) =>
  words[0] === 'enqueue' && words.length > 1
    ? `Put the whole command in quotes, or see \`${help}\`.`
    : `See \`${help}\`; what begins with - but is no flag goes after a --.`;

const dashed = (flag: string) => (flag.length === 1 ? `-${flag}` : `--${flag}`);
