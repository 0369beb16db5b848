/** What is printed, and how it is kept from driving the terminal it lands on. */
import fs from 'node:fs';
import { pause } from '../../utils/delay.js';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { joinLines } from '../../utils/pieces.js';

const [STDOUT, STDERR] = [1, 2];

let stdout: 'open' | 'closed' | QueuectlError = 'open';

/**
 * Writes all of it to stdout, however long the reader takes. (process.stdout would take its time to load.) A reader that
 * goes away (`queuectl list | head -1`) is no error. Any other failure is told at the end, by `outputError`: it must not
 * keep a command from its work.
 *
 * @returns false when nobody can read what is written from now on
 */
export function write(content: string | Buffer): boolean {
  try {
    if (stdout === 'open') writeAll(STDOUT, content);
  } catch (error) {
    stdout = 'closed';
    if (errnoCode(error) === 'EPIPE') return false;
    const reason = storageError(error, 'write to stdout');
    if (!(reason instanceof QueuectlError)) throw reason;
    stdout = new QueuectlError('STORAGE', reason.fact, 'What was to be done is done; only the output is lost.');
  }
  return stdout === 'open';
}

/** Why the output, or a part of it, could not be written; undefined when it could. */
export const outputError = (): QueuectlError | undefined => (stdout instanceof QueuectlError ? stdout : undefined);

function writeAll(fd: number, content: string | Buffer): void {
  for (let rest = Buffer.isBuffer(content) ? content : Buffer.from(content); rest.length > 0; ) {
    try {
      rest = rest.subarray(fs.writeSync(fd, rest));
    } catch (error) {
      if (errnoCode(error) !== 'EAGAIN') throw error;
      pause(FULL_PIPE_MS); // somebody has set it not to block, and its reader is slow
    }
  }
}

const FULL_PIPE_MS = 5;

/** Prints one line, or several. */
export function print(text: string): void {
  write(`${text}\n`);
}

/** Says something that is not the command's result, if stderr can be written: an error is in the exit code, too. */
export function talk(text: string): void {
  try {
    writeAll(STDERR, `${text}\n`);
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
  }
}

/** Prints what a command has to say: as text, or with `--json` as one JSON value. */
export function printResult(asJson: boolean | undefined, text: string, value: unknown): void {
  print(asJson ? toJson(value) : visible(text, '\n'));
}

// C1 control characters, line separators, and the marks that reorder text: JSON.stringify leaves them as they are.
const UNSAFE_IN_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** JSON on one line, in which every character that could drive a terminal is escaped. */
export function toJson(value: unknown): string {
  return JSON.stringify(value).replace(
    UNSAFE_IN_JSON,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Prints a JSON array with one record per line, as in the store's files. */
export function printRecords(records: readonly unknown[]): void {
  const pieces = records.length === 0 ? ['[]\n'] : joinLines(jsonOf(records), ['[\n', ',\n', '\n]\n']);
  for (const piece of pieces) if (!write(piece)) return;
}

function* jsonOf(records: readonly unknown[]): Generator<string> {
  for (const record of records) yield toJson(record);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A text with its control characters made visible: `^[` for escape, `\x9b` for what has no such name. */
export function visible(text: string, kept = ''): string {
  return text.replace(CONTROL, (character) => {
    const code = character.charCodeAt(0);
    if (kept.includes(character)) return character;
    if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
    if (code === 0x7f) return '^?';
    return code < 0x100 ? `\\x${code.toString(16)}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

let speaksJson = false;

/** From now on errors and warnings are JSON, a line each. */
export function speakJson(): void {
  speaksJson = true;
}

/**
 * Reports an error: one line on stderr, without a stack trace unless `$QUEUECTL_DEBUG` is 1.
 *
 * @returns what to exit with
 */
export function reportError(error: unknown): 1 | 2 {
  const expected = error instanceof QueuectlError ? error : unexpected(error);
  const { code, fact, remedy, data } = expected;
  if (speaksJson) talk(toJson({ error: { code, fact, remedy, ...data } }));
  else say(expected.message);
  if (process.env.QUEUECTL_DEBUG === '1' && error instanceof Error) talk(`${error.stack}`);
  return expected.exitCode;
}

const unexpected = (error: unknown) => ({
  code: 'UNEXPECTED',
  fact: `unexpected error: ${error instanceof Error ? error.message : String(error)}`,
  remedy: '',
  data: {},
  get message() {
    return this.fact;
  },
  exitCode: 1 as const,
});

/** Says what the user should know though the command does what it was told. */
export function warn(fact: string): void {
  if (speaksJson) talk(toJson({ warning: { fact } }));
  else say(`warning: ${fact}`);
}

/** Says what a person may want to know, and need do nothing about. */
export function note(fact: string): void {
  if (!speaksJson) say(fact);
}

/** Says something on stderr, in the program's name. */
export function say(text: string): void {
  talk(`queuectl: ${visible(text)}`);
}
