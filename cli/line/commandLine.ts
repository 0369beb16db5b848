/** What a command line says: words, and flags with their values. */
import { Parser } from 'yargs/helpers';
import { QueuectlError } from '../../utils/errors.js';
import type { Flag, OptionsOf } from './flags.js';
import { nearest } from './nearest.js';

export interface CommandLine {
  /** As it was typed, behind the name of the program. */
  readonly args: readonly string[];
  /** The command and its arguments, in order; all that follows a `--` too. */
  readonly words: readonly string[];
  /** How many of the words, the last ones, follow a `--`. */
  readonly literal: number;
  /** The flags that were given, known or not, without their dashes, and what the parser has made of them. */
  readonly given: ReadonlyMap<string, unknown>;
}

/**
 * Reads a command line. Whether its flags may be given is left to `readOptions`.
 *
 * Only yargs' parser is used here. With its commands it would take `-` and a word `help` among the arguments for its
 * own, and lay out the help text at every call (10 ms).
 *
 * @param flags every flag there is: which one takes a value must be known before the command is
 */
export function readCommandLine(args: readonly string[], flags: readonly Flag[]): CommandLine {
  const isSwitch = ({ takes }: Flag) => takes === undefined;
  const aliased = flags.filter(({ alias }) => alias !== undefined);
  const {
    _: words,
    '--': literal = [],
    ...values
  } = Parser(closeFlags(args, flags), {
    string: flags.filter((flag) => !isSwitch(flag)).map(({ name }) => name),
    boolean: flags.filter(isSwitch).map(({ name }) => name),
    alias: Object.fromEntries(aliased.map(({ name, alias }) => [name, [alias ?? '']])),
    // Words stay as typed, and a flag has one name.
    configuration: {
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'populate--': true,
    },
  });
  const given = new Map<string, unknown>(Object.entries(values).filter(([, value]) => value !== undefined));
  for (const { alias = '' } of aliased) given.delete(alias);
  return { args, words: [...words, ...literal].map(String), literal: literal.length, given };
}

/**
 * The parser takes a word `true` or `false` behind a switch for its value, but it may well be the job; and a `-` for a
 * word, but behind a flag that takes a value it is that.
 */
function closeFlags(args: readonly string[], flags: readonly Flag[]): string[] {
  const closed: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '--') return [...closed, ...args.slice(at)];
    const flag = flags.find(({ name }) => arg === `--${name}`);
    if (flag !== undefined && flag.takes === undefined) closed.push(`${arg}=true`);
    else if (flag !== undefined && args[at + 1] === '-') {
      closed.push(`${arg}=-`);
      at += 1;
    } else closed.push(arg);
  }
  return closed;
}

/**
 * The values of a command's flags. What yargs would let pass is refused: a flag that is unknown, given twice, or without
 * its value.
 *
 * @param accepted the flags of the command
 * @param help what to type for help
 * @param instead what to do about a flag that is unknown, if that is known
 * @param otherwise what to do when it is not, and no flag is like it
 * @throws QueuectlError USAGE
 */
export function readOptions<const F extends readonly Flag[]>(
  { args, given }: CommandLine,
  accepted: F,
  help: string,
  instead: (name: string, value: unknown) => string | undefined = () => undefined,
  otherwise = `See \`${help}\`.`,
): OptionsOf<F> {
  const usage = (fact: string, remedy = `See \`${help}\`.`) => new QueuectlError('USAGE', fact, remedy);
  const beforeDashes = args.slice(0, args.includes('--') ? args.indexOf('--') : args.length);
  const options: Record<string, unknown> = {};
  for (const [name, value] of given) {
    const typed = name.length === 1 ? `-${name}` : `--${name}`;
    const flag = accepted.find((known) => known.name === name);
    if (flag === undefined) {
      const long = accepted.find((known) => name.length === 1 && beforeDashes.includes(`-${known.name}`));
      if (long !== undefined)
        throw usage(`unknown flag -${long.name}`, `Did you mean --${long.name}? See \`${help}\`.`);
      const names = accepted.map((known) => known.name);
      const meant = nearest(name, names);
      const like = meant === undefined ? otherwise : `Did you mean --${meant}? See \`${help}\`.`;
      throw usage(`unknown flag ${typed}`, instead(name, value) ?? like);
    }
    if (Array.isArray(value)) throw usage(`${typed} is given more than once`, 'Give it once.');
    if (value === '') throw usage(`${typed} needs a value`);
    if (flag.takes === undefined && beforeDashes.some((arg) => arg.startsWith(`${typed}=`))) {
      throw usage(`${typed} takes no value`);
    }
    options[name] = flag.read(String(value));
  }
  return options as OptionsOf<F>; // each value is what the flag of its name has read
}
