/** Command lines that a message advises: they are to do what it says when they are typed. */
import type { QueuectlError } from '../../utils/errors.js';
import { joinWords } from '../../utils/shell.js';
import { toJson, visible } from '../text/output.js';
import type { Place } from './address.js';
import type { Flag } from './flags.js';

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
  readonly words: readonly string[];
}

function part(args: readonly string[], flags: readonly Flag[]): Parts {
  const parts = { flags: [] as string[], words: [] as string[] };
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '--') {
      parts.words.push(...args.slice(at + 1));
      break;
    }
    const [name = ''] = arg.split('=', 1);
    const flag = flags.find((known) => name === `--${known.name}`);
    if (flag === undefined) parts.words.push(arg);
    else if (flag.takes === undefined || arg !== name) parts.flags.push(arg);
    else {
      parts.flags.push(...args.slice(at, at + 2));
      at += 1;
    }
  }
  return parts;
}

/**
 * The command line that enqueues what was typed word by word.
 *
 * @param args a command line of `enqueue` in which queuectl took for its own what may be the job's
 * @param known the flags of queuectl
 * @returns undefined when no job begins in it, or it cannot be typed from one line of text
 */
export function adviseWords(args: readonly string[], known: readonly Flag[]): string | undefined {
  const { flags, words } = part(args, known);
  const [command = '', first, ...rest] = words;
  if (first === undefined || first.startsWith('-')) return undefined;
  const line = `queuectl ${joinWords([command, ...flags, '--', first, ...rest])}`;
  return visible(line) === line ? line : undefined;
}

/** The command line that enqueues this text, with the flags of another one. */
export function adviseText(text: string, args: readonly string[], known: readonly Flag[]): string {
  const isPlain = !text.startsWith('-') && visible(text) === text;
  return `queuectl ${joinWords(['enqueue', isPlain ? text : toJson({ command: text }), ...part(args, known).flags])}`;
}
