/** Jobs as they are typed: JSON when the text begins with `{`, else a shell command. */
import { isUtf8 } from 'node:buffer';
import type { JobInput } from '../../db/model/input.js';
import { QueuectlError } from '../../utils/errors.js';
import { describeJsonFault, findJsonFault } from '../../utils/jsonFault.js';
import { cut } from '../../utils/pieces.js';
import { quote } from '../../utils/text.js';

type Fields = { readonly [field: string]: unknown };
/** What the flags say of a job. */
export type JobFlags = Omit<Partial<JobInput>, 'command' | 'cwd'>;

/** A job as it was typed, and the line of the input it stands on. Core checks it. */
export interface JobLine {
  readonly line: number;
  readonly job: JobInput;
}

/**
 * Reads one job.
 *
 * @param cwd the directory it runs in unless it says otherwise
 * @throws QueuectlError USAGE: a flag contradicts the JSON; INVALID: malformed JSON
 */
export function readJob(text: string, flags: JobFlags, cwd: string): JobInput {
  const fields = readFields(text, 'argument');
  for (const [field, value] of Object.entries(flags)) {
    const found = fields[field];
    if (found === undefined || found === value) continue;
    throw new QueuectlError(
      'USAGE',
      `the job says "${field}" is ${quote(found)}, but a flag says ${quote(value)}`,
      'Give it once.',
      { data: { field } },
    );
  }
  return toInput({ cwd, ...flags, ...fields });
}

/**
 * Reads a job from each line that is not blank.
 *
 * @param flags used where a line does not say
 * @throws QueuectlError INVALID, with the line: malformed JSON, or not UTF-8
 */
export function readJobLines(content: Buffer, flags: JobFlags, cwd: string): JobLine[] {
  const jobs: JobLine[] = [];
  let line = 0;
  for (const text of linesOf(content)) {
    line++;
    if (text.trim() === '') continue;
    jobs.push({ line, job: toInput({ cwd, ...flags, ...readLine(text, line) }) });
  }
  return jobs;
}

function readLine(text: string, line: number): Fields {
  try {
    return readFields(text.endsWith('\r') ? text.slice(0, -1) : text, 'line');
  } catch (error) {
    throw error instanceof QueuectlError ? atLine(line, error) : error;
  }
}

/** An error of core, as whoever wrote the lines understands it. */
export function explain(error: QueuectlError, lines: readonly JobLine[]): QueuectlError {
  const { index, id } = error.data;
  const at = index === undefined ? undefined : lines[index];
  if (at !== undefined) return atLine(at.line, error);
  if (error.code !== 'DUPLICATE_ID') return error;
  const [first, second] = lines.filter(({ job }) => job.id === id);
  if (first === undefined) return error;
  const remedy = 'Nothing was enqueued; choose another id.';
  const { line } = second ?? first;
  const fact = second === undefined ? error.fact : `the id ${quote(id)} is already on line ${first.line}`;
  return error.with({ fact: `line ${line}: ${fact}`, remedy, data: { line } });
}

const atLine = (line: number, error: QueuectlError) =>
  error.with({
    fact: `line ${line}: ${error.fact}`,
    remedy: `Nothing was enqueued. ${error.remedy}`.trim(),
    data: { line },
  });

/** Core sees to it that it is one. */
const toInput = (fields: Fields) => fields as unknown as JobInput;

/** Where a job is given: as an argument, which a shell has read, or as a line of a file. */
type Origin = 'argument' | 'line';

function readFields(text: string, origin: Origin): Fields {
  if (text.startsWith('{')) return parseFields(text, origin); // most lines do
  if (/^\s*\[\s*(\{|$)/.test(text)) {
    const remedy = "Give one job a line, as `jq -c '.[]'` makes of an array.";
    throw new QueuectlError('INVALID', 'a JSON array is no job', remedy);
  }
  return text.trimStart().startsWith('{') ? parseFields(text, origin) : { command: text };
}

function parseFields(text: string, origin: Origin): Fields {
  try {
    return JSON.parse(text);
  } catch {
    throw new QueuectlError('INVALID', `malformed JSON ${describeJsonFault(text)}`, remedyOf(text, origin));
  }
}

const EXAMPLE = 'A job in JSON looks like {"id":"job1","command":"echo hi"}';

function remedyOf(text: string, origin: Origin): string {
  const offset = findJsonFault(text);
  const [before, rest] = [text.slice(0, offset).trimEnd(), text.slice(offset)];
  if (rest === '' && origin === 'line') return 'Give one job a line, whole, as `jq -c .` makes of an object.';
  if (before.endsWith(',') && /^[}\]]/.test(rest)) return 'Remove the comma before it.';
  if (rest.startsWith("'")) return `Names and strings need double quotes. ${EXAMPLE}.`;
  if (/[{,]$/.test(before) && /^[\w$-]+\s*:/.test(rest)) {
    // Nobody leaves out every quote of a text: a shell has taken them.
    const isEaten =
      origin === 'argument' && !text.includes('"') && /^[\w$-]+\s*:\s*(?!true|false|null)[^\s\d{["-]/.test(rest);
    if (!isEaten) return `Names need double quotes. ${EXAMPLE}.`;
    return `${EXAMPLE}; on a command line put it in single quotes.`;
  }
  return `${EXAMPLE}.`;
}

/** No command that can be run is a tenth as long; of shorter lines a piece has several. */
const LINE_BYTES_MAX = 100_000_000;

function linesIn(piece: Buffer): number {
  let lines = 0;
  for (let end = piece.indexOf('\n'); end !== -1; end = piece.indexOf('\n', end + 1)) lines += 1;
  return piece.at(-1) === NEWLINE ? lines : lines + 1;
}

const NEWLINE = 0x0a;

function tooLong(line: number): QueuectlError {
  const fact = `line ${line}: it is longer than ${LINE_BYTES_MAX / 1e6} MB`;
  return new QueuectlError('INVALID', fact, 'Nothing was enqueued. Give one job a line.', { data: { line } });
}

/** @throws QueuectlError INVALID: not UTF-8, as a command is to run as it was written; or a line that no job can have */
function* linesOf(content: Buffer): Generator<string> {
  let lines = 0;
  for (const piece of cut(content)) {
    if (piece.length > LINE_BYTES_MAX) throw tooLong(lines + linesIn(piece));
    if (!isUtf8(piece)) throw notUtf8(piece, lines);
    const texts = new TextDecoder('utf-8', { ignoreBOM: lines > 0 }).decode(piece).split('\n');
    if (texts.at(-1) === '') texts.pop();
    lines += texts.length;
    yield* texts;
  }
}

/** @param before the lines before the content */
function notUtf8(content: Buffer, before: number): QueuectlError {
  let line = before + 1;
  for (let start = 0; ; line++) {
    const end = content.indexOf('\n', start);
    if (end === -1 || !isUtf8(content.subarray(start, end))) break;
    start = end + 1;
  }
  return new QueuectlError('INVALID', `line ${line}: not UTF-8`, 'Nothing was enqueued. Convert the input to UTF-8.', {
    data: { line },
  });
}
