/**
 * Saves what can be saved of damaged files: every record that is whole, and every change in the journal that can be read.
 *
 * It errs on the side of keeping. Of two jobs with one id the one changed last is kept; commits behind a gap in the journal
 * count, as they carry whole records.
 */
import { isUtf8 } from 'node:buffer';
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
type Piece = { readonly place: string } & ({ readonly value: unknown } | { readonly fault: string });

function salvageJobs(content: Pieces | null, { fromRow }: SnapshotFile): Salvaged {
  if (content === null) return { jobs: [], faults: [] };
  const { pieces, faults } = split(content);
  const jobs = new Map<string, Job>();
  for (const piece of pieces) {
    const job = 'fault' in piece ? piece.fault : fromRow(piece.value);
    if (typeof job === 'string') {
      faults.push(`${piece.place}: ${job}`);
      continue;
    }
    const twin = jobs.get(job.id);
    if (twin !== undefined) faults.push(`${piece.place}: the id ${JSON.stringify(job.id)} occurs twice`);
    if (twin === undefined || job.updated_at >= twin.updated_at) jobs.set(job.id, job);
  }
  return { jobs: [...jobs.values()], faults };
}

/** The elements of the array; or, where it is none, every object in the file. */
function split(content: Pieces): { pieces: Piece[]; faults: string[] } {
  const [first = Buffer.alloc(0)] = content;
  const value = content.length > 1 ? parseElements(content) : parseText(first);
  if (value === undefined) {
    let line = 1;
    const pieces = content.flatMap((part) => {
      const found = objectsIn(part, line);
      line += linesIn(part);
      return found;
    });
    const isTold = pieces.some((piece) => 'fault' in piece);
    return { pieces, faults: isTold ? [] : [`it is not JSON ${describeJsonFault(first.toString('utf8'))}`] };
  }
  if (!Array.isArray(value)) return { pieces: [], faults: ['it is not a JSON array'] };
  return { pieces: value.map((element, index) => ({ place: `element ${index + 1}`, value: element })), faults: [] };
}

/** @returns undefined for what is not JSON; JSON itself knows no such value */
function parseText(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What may stand between objects, then an object's beginning or anything else. */
const BETWEEN = /[\s,[\]]*(?:([^\s,[\]{][^\n{]*)|(\{))/y;
const NEXT_LINE_WITH_OBJECT = /\n[\s,[]*\{/g;

function linesIn(content: Buffer): number {
  let lines = 0;
  for (let at = content.indexOf(NEWLINE); at !== -1; at = content.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}

/** @param firstLine the number of the first line of the content */
function objectsIn(content: Buffer, firstLine: number): Piece[] {
  const text = content.toString('latin1'); // a character a byte, and what JSON is made of is ASCII
  const pieces: Piece[] = [];
  let line = firstLine;
  let counted = 0;
  const placeAt = (at: number) => {
    for (; counted < at; counted++) if (content[counted] === NEWLINE) line += 1;
    return `line ${line}`;
  };
  for (let offset = 0; ; ) {
    BETWEEN.lastIndex = offset;
    const [matched, garbage] = BETWEEN.exec(text) ?? [];
    if (matched === undefined) return pieces;
    offset += matched.length;
    if (garbage !== undefined) {
      const excerpt = JSON.stringify(garbage.slice(0, EXCERPT_CHARACTERS));
      pieces.push({ place: placeAt(offset - garbage.length), fault: `unexpected ${excerpt}` });
      continue;
    }
    const start = offset - 1;
    const end = endOfObject(content, start);
    const value = end === undefined ? undefined : parseText(content.subarray(start, end));
    if (end !== undefined && value !== undefined) {
      pieces.push({ place: placeAt(start), value });
      offset = end;
      continue;
    }
    pieces.push({ place: placeAt(start), fault: faultOf(content.subarray(start, endOfLine(content, start))) });
    const next = nextObject(text, start);
    if (next === undefined) return pieces;
    offset = next;
  }
}

const NEWLINE = 0x0a;
const EXCERPT_CHARACTERS = 30;
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

/** Where to go on behind an object that is none: at the next line that begins with one, else at the next brace. */
function nextObject(text: string, start: number): number | undefined {
  NEXT_LINE_WITH_OBJECT.lastIndex = start;
  const line = NEXT_LINE_WITH_OBJECT.exec(text);
  const brace = text.indexOf('{', start + 1);
  if (line !== null) return line.index + 1;
  return brace === -1 ? undefined : brace;
}

function endOfLine(content: Buffer, from: number): number {
  const end = content.indexOf(NEWLINE, from);
  return end === -1 ? content.length : end;
}

/** @param line from where an object begins */
function faultOf(line: Buffer): string {
  if (!isUtf8(line)) return 'it is not UTF-8';
  return parseText(line) === undefined
    ? `it is not JSON ${describeJsonFault(line.toString('utf8'))}`
    : 'it is not JSON';
}
