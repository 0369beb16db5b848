/**
 * Saves what can be saved of damaged files: every record that is whole, and every change in the journal that can be read.
 *
 * It errs on the side of keeping. Of two records with one id the one changed last is kept; commits behind a gap in the
 * journal count, as they carry whole records.
 */
import { isUtf8 } from 'node:buffer';
import { readWhole } from '../../utils/files.js';
import { describeJsonFault } from '../../utils/jsonFault.js';
import { type DeadJob, findDeadJobFault, findJobFault, type Job } from '../schema.js';
import { type SalvagedJournal, salvageJournal } from './journal.js';
import type { StorePaths } from './paths.js';
import { QueueState } from './queueState.js';

/** What is wrong with each file, in the order of the file; empty for one that is whole. */
export type Faults = Record<'queue' | 'dlq' | 'journal', string[]>;

export interface Salvage {
  readonly state: QueueState;
  readonly faults: Faults;
  readonly journal: SalvagedJournal;
}

/** Reads the files as they are. @throws QueuectlError STORAGE */
export function salvage(paths: StorePaths): Salvage {
  const contentOf = (path: string) => readWhole(path)?.content ?? null;
  const queue = salvageRecords(contentOf(paths.queue), findJobFault, (job: Job) => job.updated_at);
  const dlq = salvageRecords(contentOf(paths.dlq), findDeadJobFault, (entry: DeadJob) => entry.failed_at);
  const journal = salvageJournal(contentOf(paths.journal));
  const state = new QueueState(queue.records, dlq.records);
  for (const change of journal.changes) state.apply(change);
  for (const entry of state.listDead()) {
    const job = state.getJob(entry.id);
    if (job === undefined) continue;
    dlq.faults.push(`the id ${JSON.stringify(entry.id)} is in queue.json too`);
    if (job.updated_at > entry.failed_at) state.removeDead(entry.id);
    else state.removeJob(entry.id);
  }
  return { state, faults: { queue: queue.faults, dlq: dlq.faults, journal: [...journal.faults] }, journal };
}

interface Salvaged<T> {
  readonly records: T[];
  readonly faults: string[];
}

/** Where a value stands in its file, and the value; or what is wrong there. */
type Piece = { readonly place: string } & ({ readonly value: unknown } | { readonly fault: string });

function salvageRecords<T extends { readonly id: string }>(
  content: Buffer | null,
  findFault: (value: unknown) => string | undefined,
  changedAt: (record: T) => number,
): Salvaged<T> {
  if (content === null) return { records: [], faults: [] };
  const { pieces, faults } = split(content);
  const records = new Map<string, T>();
  for (const piece of pieces) {
    const fault = 'fault' in piece ? piece.fault : findFault(piece.value);
    if (fault !== undefined || 'fault' in piece) {
      faults.push(`${piece.place}: ${fault}`);
      continue;
    }
    const record = piece.value as T; // findFault has checked it
    const twin = records.get(record.id);
    if (twin !== undefined) faults.push(`${piece.place}: the id ${JSON.stringify(record.id)} occurs twice`);
    if (twin === undefined || changedAt(record) >= changedAt(twin)) records.set(record.id, record);
  }
  return { records: [...records.values()], faults };
}

/** The elements of the array; or, where it is none, every object in the file. */
function split(content: Buffer): { pieces: Piece[]; faults: string[] } {
  const text = content.toString('utf8');
  if (!isUtf8(content)) return { pieces: objectsIn(text, UNDECODABLE), faults: [] };
  try {
    const values: unknown = JSON.parse(text);
    if (!Array.isArray(values)) return { pieces: [], faults: ['it is not a JSON array'] };
    return { pieces: values.map((value, index) => ({ place: `element ${index + 1}`, value })), faults: [] };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const pieces = objectsIn(text);
    const isTold = pieces.some((piece) => 'fault' in piece);
    return { pieces, faults: isTold ? [] : [`it is not JSON ${describeJsonFault(text)}`] };
  }
}

/** What stands for bytes that are not UTF-8. */
const UNDECODABLE = '\ufffd';
/** An object begins here; what is before it, between objects, is no loss. */
const OBJECT_START = /[\s,[\]]*(?:([^\s,[\]{][^\n{]*)|(\{))/y;
const STRUCTURE = /[^"{}]*(?:"(?:[^"\\\n]|\\.)*"|[{}])/y;
const NEXT_LINE_WITH_OBJECT = /\n[\s,[]*\{/g;

/** @param forbidden a text that no object is to have */
function objectsIn(text: string, forbidden?: string): Piece[] {
  const pieces: Piece[] = [];
  let offset = 0;
  let line = 1;
  let counted = 0;
  const placeAt = (at: number) => {
    for (; counted < at; counted++) if (text.charCodeAt(counted) === NEWLINE) line += 1;
    return `line ${line}`;
  };
  for (;;) {
    OBJECT_START.lastIndex = offset;
    const [matched, garbage] = OBJECT_START.exec(text) ?? [];
    if (matched === undefined) return pieces;
    offset += matched.length;
    if (garbage !== undefined) {
      pieces.push({
        place: placeAt(offset - garbage.length),
        fault: `unexpected ${JSON.stringify(garbage.slice(0, 30))}`,
      });
      continue;
    }
    const start = offset - 1;
    const place = placeAt(start);
    const end = endOfObject(text, start);
    const value = end === undefined ? undefined : parseObject(text.slice(start, end), forbidden);
    if (end !== undefined && value !== undefined) {
      pieces.push({ place, value });
      offset = end;
      continue;
    }
    pieces.push({ place, fault: faultOf(text.slice(start, endOfLine(text, start))) });
    NEXT_LINE_WITH_OBJECT.lastIndex = start;
    const next = NEXT_LINE_WITH_OBJECT.exec(text);
    if (next === null) return pieces;
    offset = next.index + 1;
  }
}

const NEWLINE = 0x0a;

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end;
}

/** @param line from where an object begins */
function faultOf(line: string): string {
  if (line.includes(UNDECODABLE)) return 'it is not UTF-8';
  return parseObject(line) === undefined ? `it is not JSON ${describeJsonFault(line)}` : 'it is not JSON';
}

/** Behind the brace that closes the one at `start`; undefined where none does. */
function endOfObject(text: string, start: number): number | undefined {
  let depth = 0;
  STRUCTURE.lastIndex = start;
  for (let match = STRUCTURE.exec(text); match !== null; match = STRUCTURE.exec(text)) {
    const last = match[0].at(-1);
    if (last === '{') depth += 1;
    if (last === '}') depth -= 1;
    if (depth === 0) return STRUCTURE.lastIndex;
  }
  return undefined;
}

function parseObject(text: string, forbidden?: string): unknown {
  if (forbidden !== undefined && text.includes(forbidden)) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
