/** Jobs as they are typed: JSON when the text begins with `{`, else a shell command. */
import { isUtf8 } from 'node:buffer';
import { checkJobInput, type JobInput } from '../../db/model/input.js';
import { QueuectlError } from '../../utils/errors.js';
import { describeJsonFault } from '../../utils/jsonFault.js';
import { quote } from '../../utils/text.js';

type Fields = { readonly [field: string]: unknown };
/** What the flags say of a job. */
export type JobFlags = Omit<Partial<JobInput>, 'command' | 'cwd'>;

/** A job, and the line of the input it stands on. */
export interface JobLine {
  readonly line: number;
  readonly job: JobInput;
}

/**
 * Reads one job.
 *
 * @param cwd the directory it runs in unless it says otherwise
 * @throws QueuectlError USAGE: a flag contradicts the JSON; INVALID: malformed JSON, or not a job
 */
export function readJob(text: string, flags: JobFlags, cwd: string): JobInput {
  const fields = readFields(text);
  for (const [field, value] of Object.entries(flags)) {
    const found = fields[field];
    if (found === undefined || found === value) continue;
    throw new QueuectlError(
      'USAGE',
      `the job says "${field}" is ${quote(found)}, but a flag says ${quote(value)}`,
      'Give it once.',
    );
  }
  return checkJobInput({ cwd, ...flags, ...fields });
}

/**
 * Reads a job from each line that is not blank.
 *
 * @param flags used where a line does not say
 * @throws QueuectlError naming the line: as `readJob` does, or DUPLICATE_ID when two lines give the same id
 */
export function readJobLines(content: Buffer, flags: JobFlags, cwd: string): JobLine[] {
  const jobs: JobLine[] = [];
  let line = 0;
  const texts = decode(content).split('\n');
  try {
    for (const text of texts) {
      line++;
      if (text.trim() === '') continue;
      const fields = readFields(text.endsWith('\r') ? text.slice(0, -1) : text);
      jobs.push({ line, job: checkJobInput({ cwd, ...flags, ...fields }) });
    }
  } catch (error) {
    if (!(error instanceof QueuectlError)) throw error;
    throw new QueuectlError(error.code, `line ${line}: ${error.fact}`, `Nothing was enqueued. ${error.remedy}`.trim());
  }
  const lineOfId = new Map<string, number>();
  for (const { line, job } of jobs) {
    if (job.id === undefined) continue;
    const earlier = lineOfId.get(job.id);
    if (earlier !== undefined) throw duplicateId(line, `the id ${quote(job.id)} is already on line ${earlier}`);
    lineOfId.set(job.id, line);
  }
  return jobs;
}

/** The error for a line whose id is taken. */
export const duplicateId = (line: number, fact: string): QueuectlError =>
  new QueuectlError('DUPLICATE_ID', `line ${line}: ${fact}`, 'Nothing was enqueued; choose another id.');

function readFields(text: string): Fields {
  if (text.startsWith('{')) return parseFields(text); // most lines do
  if (/^\s*\[\s*\{/.test(text)) {
    throw new QueuectlError('INVALID', 'a JSON array is no job', 'Give each job as an object, on a line of its own.');
  }
  return text.trimStart().startsWith('{') ? parseFields(text) : { command: text };
}

function parseFields(text: string): Fields {
  try {
    return JSON.parse(text);
  } catch {
    throw new QueuectlError(
      'INVALID',
      `malformed JSON ${describeJsonFault(text)}`,
      `A job in JSON looks like {"id":"job1","command":"echo hi"}; on a command line put it in single quotes.`,
    );
  }
}

/** @throws QueuectlError INVALID: not UTF-8; a command is to run as it was written */
function decode(content: Buffer): string {
  if (isUtf8(content)) return new TextDecoder().decode(content);
  let line = 1;
  for (let start = 0; ; line++) {
    const end = content.indexOf('\n', start);
    if (end === -1 || !isUtf8(content.subarray(start, end))) break;
    start = end + 1;
  }
  throw new QueuectlError('INVALID', `line ${line}: not UTF-8`, 'Nothing was enqueued. Convert the input to UTF-8.');
}
