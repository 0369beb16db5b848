/**
 * Saves what can be saved of damaged files: every record that is whole, and every change in the journal that can be read.
 *
 * It errs on the side of keeping. Of two jobs with one id the one changed last is kept; commits behind a gap in the journal
 * count, as they carry whole records.
 */
import { constants, isUtf8 } from 'node:buffer';
import { readLong } from '../../../utils/files.js';
import { describeJsonFault } from '../../../utils/jsonFault.js';
import { type Pieces, parseElements } from '../../../utils/pieces.js';
import type { Job } from '../../model/job.js';
import { type Change, Records } from '../records.js';
import { type SalvagedJournal, salvageJournal } from './journal.js';
import type { StorePaths } from './paths.js';
import { type PerFile, perFile, SNAPSHOT_FILES, type SnapshotFile } from './snapshotFiles.js';

/** What is wrong with each file, in the order of the file; empty for one that is whole. */
export type Faults = PerFile<string[]> & { readonly journal: string[] };

export interface Salvage {
  readonly records: Records;
  readonly faults: Faults;
  readonly journal: SalvagedJournal;
}

/** Reads the files as they are. @throws QueuectlError STORAGE */
export function salvage(paths: StorePaths): Salvage {
  const contentOf = (path: string) => readLong(path)?.content ?? null;
  const salvaged = perFile((file) => salvageJobs(contentOf(paths[file.name]), file));
  const journal = salvageJournal(contentOf(paths.journal));
  const records = new Records();
  const changed = new Set(journal.commits.flatMap(({ change }) => [...change.keys()]));
  for (const { name } of SNAPSHOT_FILES) {
    for (const job of salvaged[name].jobs) {
      const twin = records.get(job.id)?.record;
      if (twin !== undefined && !changed.has(job.id)) {
        salvaged[name].faults.push(`the id ${JSON.stringify(job.id)} is in queue.json too`);
      }
      if (twin === undefined || job.updated_at >= twin.updated_at) records.put(job, 0);
    }
  }
  for (const { change, seq } of journal.commits) records.apply(newerOf(change, records), seq);
  return {
    records,
    faults: { ...perFile(({ name }) => salvaged[name].faults), journal: [...journal.faults] },
    journal,
  };
}

/** A change without what is older than the records that are there: the journal may be that of another snapshot. */
function newerOf(change: Change, records: Records): Change {
  const isOlder = (job: Job | null) => job !== null && job.updated_at < (records.get(job.id)?.record.updated_at ?? 0);
  return new Map([...change].filter(([, job]) => !isOlder(job)));
}

interface Salvaged {
  readonly jobs: Job[];
  readonly faults: string[];
}

/** Where a value stands in its file, and the value; or what is wrong there. */
type Found = { readonly place: string } & ({ readonly value: unknown } | { readonly fault: string });

function salvageJobs(content: Pieces | null, { fromRow }: SnapshotFile): Salvaged {
  if (content === null) return { jobs: [], faults: [] };
  const { found, faults } = split(content);
  const jobs = new Map<string, Job>();
  for (const one of found) {
    const job = 'fault' in one ? one.fault : fromRow(one.value);
    if (typeof job === 'string') {
      faults.push(`${one.place}: ${job}`);
      continue;
    }
    const twin = jobs.get(job.id);
    if (twin !== undefined) faults.push(`${one.place}: the id ${JSON.stringify(job.id)} occurs twice`);
    if (twin === undefined || job.updated_at >= twin.updated_at) jobs.set(job.id, job);
  }
  return { jobs: [...jobs.values()], faults };
}

/** The elements of the array; or, where it is none, every object in the file. */
function split(content: Pieces): { found: Found[]; faults: string[] } {
  const elements = content.length > 1 ? parseElements(content) : undefined;
  if (elements !== undefined) return { found: elements.map(asElement), faults: [] };
  const whole = Buffer.concat(content); // a record may stand in two pieces
  const value = parseText(whole);
  if (Array.isArray(value)) return { found: value.map(asElement), faults: [] };
  if (value !== undefined) return { found: [], faults: ['it is not a JSON array'] };
  const found = objectsIn(whole);
  return { found, faults: found.some((one) => 'fault' in one) ? [] : [faultOf(whole)] };
}

const asElement = (value: unknown, index: number): Found => ({ place: `element ${index + 1}`, value });

const isTooLong = ({ length }: Buffer) => length > constants.MAX_STRING_LENGTH;

/** @returns undefined for what is not JSON, or longer than a string; JSON itself knows no such value */
function parseText(bytes: Buffer): unknown {
  if (isTooLong(bytes) || !isUtf8(bytes)) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const NEWLINE = 0x0a;
const BRACE = 0x7b;
const EXCERPT_BYTES = 30;
/** What may stand between objects. */
const BETWEEN = new Set(Buffer.from(' \t\r\n,[]'));

/** All that JSON is made of but strings is ASCII, so this looks at bytes: there may be more of them than a string has characters. */
function objectsIn(content: Buffer): Found[] {
  const found: Found[] = [];
  let line = 1;
  let counted = 0;
  const placeAt = (at: number) => {
    for (; counted < at; counted++) if (content[counted] === NEWLINE) line += 1;
    return `line ${line}`;
  };
  for (let start = behindBetween(content, 0); start < content.length; ) {
    if (content[start] !== BRACE) {
      const next = Math.min(endOfLine(content, start), indexOrEnd(content, BRACE, start));
      const excerpt = JSON.stringify(content.toString('latin1', start, Math.min(next, start + EXCERPT_BYTES)));
      found.push({ place: placeAt(start), fault: `unexpected ${excerpt}` });
      start = behindBetween(content, next);
      continue;
    }
    const end = endOfObject(content, start);
    const value = end === undefined ? undefined : parseText(content.subarray(start, end));
    if (end !== undefined && value !== undefined) {
      found.push({ place: placeAt(start), value });
      start = behindBetween(content, end);
    } else {
      found.push({ place: placeAt(start), fault: faultOf(content.subarray(start, endOfLine(content, start))) });
      start = nextObject(content, start);
    }
  }
  return found;
}

function behindBetween(content: Buffer, from: number): number {
  let at = from;
  while (BETWEEN.has(content[at] ?? BRACE)) at += 1;
  return at;
}

function indexOrEnd(content: Buffer, byte: number, from: number): number {
  const at = content.indexOf(byte, from);
  return at === -1 ? content.length : at;
}

const endOfLine = (content: Buffer, from: number) => indexOrEnd(content, NEWLINE, from);

/** A record that is laid out over more lines than this is given up. */
const RECORD_LINES = 100;

/** Behind the brace that closes the one at `start`; undefined where none does. */
function endOfObject(content: Buffer, start: number): number | undefined {
  let depth = 0;
  let lines = 0;
  let inString = false;
  for (let at = start; at < content.length; at++) {
    switch (content[at]) {
      case 0x5c: // backslash
        at += 1;
        break;
      case 0x22: // quote
        inString = !inString;
        break;
      case NEWLINE:
        lines += 1;
        // Within an object a line that begins with a brace at once is the next record, as the store lays them out.
        if (inString || lines > RECORD_LINES || content[at + 1] === 0x7b) return undefined;
        break;
      case 0x7b: // {
        if (!inString) depth += 1;
        break;
      case 0x7d: // }
        if (!inString) depth -= 1;
        if (depth === 0) return at + 1;
    }
  }
  return undefined;
}

/** Where to go on behind an object that is none: at the next line that begins with one, else at the next brace, or the end. */
function nextObject(content: Buffer, start: number): number {
  for (let end = endOfLine(content, start); end < content.length; end = endOfLine(content, end + 1)) {
    const next = behindBetween(content, end);
    if (content[next] === BRACE) return next;
  }
  return indexOrEnd(content, BRACE, start + 1);
}

/** @param text from where an object begins, or all of a file */
function faultOf(text: Buffer): string {
  if (!isUtf8(text)) return 'it is not UTF-8';
  if (isTooLong(text)) return 'it is no JSON array of one record a line';
  return parseText(text) === undefined
    ? `it is not JSON ${describeJsonFault(text.toString('utf8'))}`
    : 'it is not JSON';
}
