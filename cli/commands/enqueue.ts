import { readFileSync, readSync } from 'node:fs';
import { currentDirectory } from '../../core/address.js';
import type { Core } from '../../core/open.js';
import { INPUT_FIELDS, type JobInput } from '../../db/model/input.js';
import { pause } from '../../utils/delay.js';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { findJsonFault } from '../../utils/jsonFault.js';
import { joinWords } from '../../utils/shell.js';
import { quote } from '../../utils/text.js';
import type { Place } from '../line/address.js';
import { advise, adviseJob, adviseText, isWholeCommand } from '../line/advice.js';
import type { Context, Run } from '../line/command.js';
import { GLOBAL_FLAGS } from '../line/flags.js';
import { explain, type JobFlags, type JobLine, readJob, readJobLines } from '../text/jobText.js';
import { printResult, say, talk, toJson } from '../text/output.js';
import { withCore } from '../withCore.js';
import { enqueue } from './index.js';

const STDIN = '-';
const READ_BYTES = 1 << 18;
const EMPTY_PIPE_MS = 5;

export const run: Run<typeof enqueue> = async (options, ...words) => {
  const source = findSource(options.file, words, options);
  const flags = jobFlags(options);
  const cwd = currentDirectory();
  if (source.kind === 'text') return enqueueOne(options, readJob(source.text, flags, cwd));
  if (source.kind === 'words') return enqueueOne(options, { cwd, ...flags, command: joinWords(words) });
  if (flags.id !== undefined) {
    throw usage('--id names one job, and there may be many lines', 'Put the ids in the lines.');
  }
  const content = await readLines(source.path);
  await enqueueLines(options, readJobLines(content, flags, cwd));
};

async function enqueueOne({ place, json }: Context, input: JobInput): Promise<void> {
  await withCore(place, async ({ queue, workers }) => {
    const job = await queue.enqueue(input);
    printResult(json, `Job enqueued with ID: ${job.id}`, job);
    if (!json) await sayIfNobodyWorks(workers, place);
  });
}

async function enqueueLines({ place, json }: Context, lines: readonly JobLine[]): Promise<void> {
  await withCore(place, async ({ queue, workers }) => {
    try {
      await queue.enqueueAll(lines.map(({ job }) => job));
    } catch (error) {
      throw error instanceof QueuectlError ? explain(error, lines) : error;
    }
    printResult(json, `Enqueued ${lines.length} ${lines.length === 1 ? 'job' : 'jobs'}`, { enqueued: lines.length });
    if (!json && lines.length > 0) await sayIfNobodyWorks(workers, place);
  });
}

async function sayIfNobodyWorks(workers: Core['workers'], place: Place): Promise<void> {
  try {
    const { workers: living, fault } = await workers.listWorkers();
    if (living.length > 0 || fault !== undefined) return;
  } catch (error) {
    if (error instanceof QueuectlError) return; // it is not known, and the job is in: that is what was asked for
    throw error;
  }
  say(`no worker is running. Start one: ${advise(place, 'worker-start')}`);
}

type Source =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'words' }
  | { readonly kind: 'lines'; readonly path: string };

/** @throws QueuectlError USAGE: there is no job, or one in two places */
function findSource(file: string | undefined, words: readonly string[], context: Context): Source {
  const [text] = words;
  if (file !== undefined) {
    if (text !== undefined) throw usage('a job and --file exclude each other', 'Give one of them.');
    return { kind: 'lines', path: file };
  }
  if (text === undefined) throw usage('no job is given', `Example: ${advise(context.place, 'enqueue', 'echo hi')}`);
  const isJson = text.trimStart().startsWith('{');
  if (context.literal === words.length && !isJson) {
    if (words.length === 1) checkProgram(text, context);
    return { kind: 'words' };
  }
  if (words.length > 1) throw severalWords(words, context);
  return text === STDIN ? { kind: 'lines', path: STDIN } : { kind: 'text', text };
}

/** Who gives a whole command behind a -- means it, and not a program of that name. */
function checkProgram(word: string, { args }: Context): void {
  if (!isWholeCommand(word)) return;
  throw usage(
    `behind a -- ${quote(word)} is the name of a program, and there is none`,
    `Without the -- it is a command: ${adviseText(word, args, ACCEPTED)}`,
  );
}

function severalWords(words: readonly string[], { args }: Context): QueuectlError {
  const fact = `the job is ${words.length} words`;
  if (words.every(isObject))
    return usage(`${words.length} jobs are given`, 'Give one at a time, or one a line in a --file.');
  const json = rebuildJson(words);
  if (json !== undefined) return usage(fact, `Put the JSON in single quotes: ${adviseText(json, args, ACCEPTED)}`);
  const job = adviseJob(args, ACCEPTED);
  if (job === undefined) return usage(fact, 'Put it in quotes.');
  return usage(fact, `${job.how === 'quotes' ? 'Put it in one pair of quotes' : 'Put a -- before them'}: ${job.line}`);
}

const ACCEPTED = [...enqueue.flags, ...GLOBAL_FLAGS];

/** Whether it is JSON that no shell has touched. */
function isObject(word: string): boolean {
  if (!word.trimStart().startsWith('{')) return false;
  return findJsonFault(word) === word.length && word.trimEnd().endsWith('}');
}

/** JSON that a shell has taken to pieces, for want of quotes: it drops the double ones, and may expand the braces. */
function rebuildJson(words: readonly string[]): string | undefined {
  const fields = new Map<string, string | number>();
  for (const word of words) {
    const [, field = '', value = ''] = /^(\w+):(.*)$/s.exec(word) ?? [];
    if (Object.hasOwn(INPUT_FIELDS, field)) fields.set(field, TEXTS.has(field) ? value : Number(value));
  }
  if (fields.size === words.length && fields.has('command')) return toJson(Object.fromEntries(fields));
  return words[0]?.trimStart().startsWith('{') ? '{"command":"echo hi"}' : undefined;
}

const TEXTS = new Set(['id', 'command', 'cwd']);

function jobFlags(options: Parameters<Run<typeof enqueue>>[0]): JobFlags {
  const { id, delay, priority, timeout } = options;
  if (delay !== undefined && options['run-at'] !== undefined) {
    throw usage('--delay and --run-at exclude each other', 'Give one of them.');
  }
  const given = {
    id,
    max_retries: options['max-retries'],
    run_at: delay === undefined ? options['run-at'] : Date.now() + Math.round(delay * 1000),
    priority,
    timeout,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

async function readLines(path: string): Promise<Buffer> {
  const name = path === STDIN ? 'stdin' : quote(path);
  try {
    return path === STDIN ? await readStdin() : readFileSync(path);
  } catch (error) {
    const code = errnoCode(error);
    const data = path === STDIN ? {} : { path };
    if (code === 'ENOENT') throw new QueuectlError('NOT_FOUND', `no file ${name}`, 'Check its name.', { data });
    if (code === 'EACCES')
      throw new QueuectlError('STORAGE', `cannot read ${name}: permission denied`, 'Check its mode.', { data });
    if (code === 'EISDIR') throw usage(`${name} is a directory`, 'Name a file with one job per line.');
    throw storageError(error, `read ${name}`);
  }
}

/** All of stdin. (process.stdin would take its time to load.) */
async function readStdin(): Promise<Buffer> {
  const { isatty } = await import('node:tty');
  if (isatty(0)) talk('Type one job a line: a shell command, or a JSON object. Ctrl-D ends.');
  const chunks: Buffer[] = [];
  for (;;) {
    try {
      const chunk = Buffer.allocUnsafe(READ_BYTES);
      const read = readSync(0, chunk);
      if (read === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, read));
    } catch (error) {
      if (errnoCode(error) !== 'EAGAIN') throw error;
      pause(EMPTY_PIPE_MS); // somebody has set it not to block, and its writer is slow
    }
  }
}

const usage = (fact: string, remedy: string) => new QueuectlError('USAGE', fact, remedy);
