/** Words as a POSIX shell reads them back. */

/** Nothing in it means anything to a shell. No `=`: the first word of a command may not have one; and no `~`. */
const PLAIN = /^[\w@%+:,./-]+$/;

/** Words that begin something where a command is expected; those of bash, which may be `sh`, too. */
const RESERVED = new Set(
  'case coproc do done elif else esac fi for function if in select then time until while'.split(' '),
);

/** A command that runs the first word with the others as its arguments, each to the letter. */
export const joinWords = (words: readonly string[]): string => words.map(quoteWord).join(' ');

/** A word in single quotes, if it needs any. */
export const quoteWord = (word: string): string =>
  PLAIN.test(word) && !RESERVED.has(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
