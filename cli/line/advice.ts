/** Command lines that a message advises: they are to do what it says when they are typed. */
import { existsSync } from 'node:fs';
import type { QueuectlError } from '../../utils/errors.js';
import { joinWords } from '../../utils/shell.js';
import { toJson, visible } from '../text/output.js';
import type { Place } from './address.js';
import { ALL_FLAGS, FLAGS, type Flag } from './flags.js';

/** A command line for the same store as this one's. */
export const advise = ({ flags }: Place, ...words: string[]): string => `queuectl ${joinWords([...words, ...flags])}`;

/** An error whose remedy, if it is a command line, means the same store as this one. */
export function forPlace(error: QueuectlError, { flags }: Place): QueuectlError {
  if (flags.length === 0) return error;
  const remedy = error.remedy.replace(/`(queuectl [^`]+)`/g, (_, line) => `\`${line} ${joinWords(flags)}\``);
  return error.with({ remedy });
}

/** A command line, parted into what is queuectl's and all the rest, the name of the command first. */
interface Parts {
  readonly flags: readonly string[];
  /** Flags of queuectl that this command does not take, with their values, and where they stand among the words. */
  readonly others: readonly { readonly words: readonly string[]; readonly at: number }[];
  readonly words: readonly string[];
}

function part(args: readonly string[], accepted: readonly Flag[], all: readonly Flag[]): Parts {
  const parts = { flags: [] as string[], others: [] as { words: string[]; at: number }[], words: [] as string[] };
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '--') {
      parts.words.push(...args.slice(at + 1));
      break;
    }
    const [name = ''] = arg.split('=', 1);
    const flag = all.find((known) => name === `--${known.name}` || arg === `-${known.alias}`);
    if (flag === undefined) {
      parts.words.push(arg);
      continue;
    }
    const takesNext = flag.takes !== undefined && arg === name;
    const typed = args.slice(at, takesNext ? at + 2 : at + 1);
    at += typed.length - 1;
    if (accepted.includes(flag) && flag !== FLAGS.help && flag !== FLAGS.version) parts.flags.push(...typed);
    else parts.others.push({ words: typed, at: parts.words.length });
  }
  return parts;
}

/** How a job is to be typed: its words behind a `--`, as one text, or without a flag that queuectl has elsewhere. */
export interface JobAdvice {
  readonly how: 'dashes' | 'quotes' | 'without';
  readonly line: string;
}

/**
 * The command line that enqueues what was typed word by word.
 *
 * @param args a command line of `enqueue` in which queuectl took for its own what may be the job's
 * @param accepted the flags of `enqueue`
 * @returns undefined when no job begins in it, or it cannot be typed from one line of text
 */
export function adviseJob(args: readonly string[], accepted: readonly Flag[]): JobAdvice | undefined {
  const { flags, others, words } = part(args, accepted, ALL_FLAGS);
  const [command = '', first, ...rest] = words;
  if (first === undefined || first.startsWith('-')) return undefined;
  const isJson = first.trimStart().startsWith('{');
  if (isJson || isWholeCommand(first)) {
    if (rest.length === 0) return { how: 'without', line: adviseText(first, args, accepted) };
    if (isJson) return undefined;
    const text = rest.every(isWholeCommand) ? [first, ...rest].join('; ') : `${first} ${joinWords(rest)}`;
    return visible(text) === text ? { how: 'quotes', line: adviseText(text, args, accepted) } : undefined;
  }
  // A flag behind the name of a program may be that program's; one before it cannot be.
  const behind = (count: number) => others.filter(({ at }) => at === count).flatMap((other) => other.words);
  const job = words.slice(1).flatMap((word, index) => [word, ...behind(index + 2)]);
  if (job.length === 1) return { how: 'without', line: adviseText(first, args, accepted) };
  const line = `queuectl ${joinWords([command, ...flags, '--', ...job])}`;
  return visible(line) === line ? { how: 'dashes', line } : undefined;
}

/** Whether a word that was typed is a command with its arguments, as no program has that name. */
export const isWholeCommand = (word: string): boolean => /\s/.test(word) && !existsSync(word);

/** The command line that enqueues this text, with the flags of another one. */
export function adviseText(text: string, args: readonly string[], accepted: readonly Flag[]): string {
  const isPlain = !text.startsWith('-') && visible(text) === text;
  return adviseInstead(['enqueue', isPlain ? text : toJson({ command: text })], args, accepted);
}

/** A command line of these words, with the flags of another one. */
export const adviseInstead = (words: readonly string[], args: readonly string[], accepted: readonly Flag[]): string =>
  `queuectl ${joinWords([...words, ...part(args, accepted, ALL_FLAGS).flags])}`;
