import { readFileSync, readSync } from 'node:fs';
import { checkJobInput, type JobInput } from '../../db/model/input.js';
import { LATEST_TIME, MAX_RETRIES_LIMIT, PRIORITY_LIMIT, TIMEOUT_LIMIT } from '../../db/model/rules.js';
import { pause } from '../../utils/delay.js';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';
import type { Command, Options } from '../line/command.js';
import { readInteger, readSeconds } from '../line/numbers.js';
import { duplicateId, type JobFlags, type JobLine, readJob, readJobLines } from '../text/jobText.js';
import { printResult } from '../text/output.js';
import { withCore } from '../withCore.js';

const DELAY_LIMIT_SECONDS = 1_000_000_000;
const STDIN = '-';
const READ_BYTES = 1 << 18;
const EMPTY_PIPE_MS = 5;

export const enqueue: Command = {
  name: 'enqueue',
  words: ['[job...]'],
  summary: 'Add a job: a shell command, or a JSON object; - reads one job per line from stdin',
  flags: ['id', 'max-retries', 'delay', 'run-at', 'priority', 'timeout', 'file'],
  examples: [
    [`enqueue 'tar czf /tmp/home.tgz ~'`, 'add a shell command'],
    [`enqueue '{"id":"job1","command":"echo hi"}'`, 'add a job in JSON'],
    [`enqueue 'sync.sh' --max-retries 5 --delay 60`, 'run it in a minute; retry it five times'],
    ['enqueue --file jobs.ndjson', 'add one job per line, all or none'],
  ],
  async run(options, ...words) {
    const source = findSource(options.file, words);
    const flags = readJobFlags(options);
    if (source.kind === 'text') return enqueueOne(options, readJob(source.text, flags, currentDirectory()));
    if (flags.id !== undefined) {
      throw usage('--id names one job, and there may be many lines', 'Put the ids in the lines.');
    }
    const content = readLines(source.path);
    await enqueueLines(options, readJobLines(content, flags, currentDirectory()));
  },
};

async function enqueueOne({ dataDir, json }: Options, input: JobInput): Promise<void> {
  const job = await withCore(dataDir, ({ queue }) => queue.enqueue(input));
  printResult(json, `Job enqueued with ID: ${job.id}`, job);
}

async function enqueueLines({ dataDir, json }: Options, lines: readonly JobLine[]): Promise<void> {
  await withCore(dataDir, async ({ queue }) => {
    try {
      await queue.enqueueAll(lines.map(({ job }) => job));
    } catch (error) {
      if (!(error instanceof QueuectlError && error.code === 'DUPLICATE_ID')) throw error;
      const taken = new Set([...(await queue.list()), ...(await queue.listDLQ())].map(({ id }) => id));
      const fault = lines.find(({ job }) => job.id !== undefined && taken.has(job.id));
      throw fault === undefined ? error : duplicateId(fault.line, error.fact);
    }
  });
  printResult(json, `Enqueued ${lines.length} ${lines.length === 1 ? 'job' : 'jobs'}`, { enqueued: lines.length });
}

type Source = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'lines'; readonly path: string };

function findSource(file: string | undefined, words: readonly string[]): Source {
  const [text] = words;
  if (file !== undefined) {
    if (text !== undefined) throw usage('a job and --file exclude each other', 'Give one of them.');
    return { kind: 'lines', path: file };
  }
  if (text === undefined) throw usage('no job is given', `Example: queuectl enqueue 'echo hi'.`);
  if (words.length > 1) throw severalWords(words);
  return text === STDIN ? { kind: 'lines', path: STDIN } : { kind: 'text', text };
}

function severalWords(words: readonly string[]): QueuectlError {
  const inQuotes = words[0]?.trimStart().startsWith('{')
    ? `'{"command":"echo hi"}'`
    : `'${words.join(' ').replaceAll("'", `'\\''`)}'`;
  return usage(`the job is ${words.length} words`, `Put it in quotes: queuectl enqueue ${inQuotes}`);
}

function readJobFlags(options: Options): JobFlags {
  if (options.delay !== undefined && options['run-at'] !== undefined) {
    throw usage('--delay and --run-at exclude each other', 'Give one of them.');
  }
  const delay = readSeconds('--delay', options.delay, DELAY_LIMIT_SECONDS);
  const given = {
    id: options.id,
    max_retries: readInteger('--max-retries', options['max-retries'], 0, MAX_RETRIES_LIMIT),
    run_at:
      delay === undefined
        ? readInteger('--run-at', options['run-at'], 0, LATEST_TIME)
        : Date.now() + Math.round(delay * 1000),
    priority: readInteger('--priority', options.priority, -PRIORITY_LIMIT, PRIORITY_LIMIT),
    timeout: readSeconds('--timeout', options.timeout, TIMEOUT_LIMIT),
  };
  const { command: _, ...flags } = checkJobInput({
    command: ':',
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  });
  return flags;
}

function readLines(path: string): Buffer {
  const name = path === STDIN ? 'stdin' : quote(path);
  try {
    return path === STDIN ? readStdin() : readFileSync(path);
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT') throw new QueuectlError('NOT_FOUND', `no file ${name}`, 'Check its name.');
    if (code === 'EACCES')
      throw new QueuectlError('STORAGE', `cannot read ${name}: permission denied`, 'Check its mode.');
    if (code === 'EISDIR') throw usage(`${name} is a directory`, 'Name a file with one job per line.');
    throw storageError(error, `read ${name}`);
  }
}

/** All of stdin. (process.stdin would take its time to load.) */
function readStdin(): Buffer {
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

function currentDirectory(): string {
  try {
    return process.cwd();
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    throw new QueuectlError('STORAGE', 'the current directory has been deleted', 'Go to another one.');
  }
}
