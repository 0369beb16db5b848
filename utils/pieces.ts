/**
 * Texts that are longer than one string, or one call to the system, can be: in pieces, each of which ends with a line.
 *
 * A string of V8 has some 537 million characters at most, a write(2) some 2 billion bytes.
 */
import { isUtf8 } from 'node:buffer';
import fs from 'node:fs';

/** Bytes of UTF-8. Each piece but the last ends with a newline, so that no line is in two of them. */
export type Pieces = readonly Buffer[];

/** A piece is as long as this, or twice as long, if the lines are not longer. */
const PIECE_BYTES = 16 * 1024 * 1024;
/** So many characters of lines are put together at once. */
const JOIN_CHARACTERS = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

/** In bytes. */
export const lengthOf = (pieces: Pieces): number => pieces.reduce((sum, { length }) => sum + length, 0);

/**
 * Reads a range of an open file, piece by piece. Of a file that has become shorter it gives what is there.
 *
 * @param pieceBytes given by tests
 */
export function* readPieces(fd: number, from: number, to: number, pieceBytes = PIECE_BYTES): Generator<Buffer> {
  for (let at = from; at < to; ) {
    const piece = readPiece(fd, at, to, pieceBytes);
    if (piece.length === 0) return;
    yield piece;
    at += piece.length;
  }
}

function readPiece(fd: number, from: number, to: number, pieceBytes: number): Buffer {
  for (let bytes = pieceBytes; ; bytes *= 2) {
    // What is left is read with the last piece: it then holds more than the last line.
    const end = to - from < 2 * bytes ? to : from + bytes;
    const piece = readRange(fd, from, end);
    if (end === to || piece.length < end - from) return piece;
    const lines = piece.lastIndexOf(NEWLINE) + 1;
    if (lines > 0) return piece.subarray(0, lines);
  }
}

/** Reads what there is of a range of an open file. */
export function readRange(fd: number, from: number, to: number): Buffer {
  const bytes = Buffer.allocUnsafe(to - from);
  let read = 0;
  while (read < bytes.length) {
    const got = fs.readSync(fd, bytes, read, Math.min(bytes.length - read, PIECE_BYTES), from + read);
    if (got === 0) break;
    read += got;
  }
  return bytes.subarray(0, read);
}

/** Cuts what is in memory at once into pieces. @param pieceBytes given by tests */
export function* cut(content: Buffer, pieceBytes = PIECE_BYTES): Generator<Buffer> {
  for (let from = 0; from < content.length; ) {
    const line = content.indexOf(NEWLINE, from + pieceBytes);
    const end = line === -1 ? content.length : line + 1;
    yield content.subarray(from, end);
    from = end;
  }
}

/**
 * Puts lines together, with something between them that ends with a newline.
 *
 * @param begin what stands before the first
 * @param end what stands behind the last
 * @param onProgress called now and then
 */
export function joinLines(
  lines: Iterable<string>,
  [begin, between, end]: readonly [string, string, string],
  onProgress: () => void = () => {},
): Buffer[] {
  const pieces: Buffer[] = [];
  let some: string[] = [];
  let characters = 0;
  let before = begin;
  const put = (after: string) => {
    pieces.push(Buffer.from(`${before}${some.join(between)}${after}`));
    before = '';
    some = [];
    characters = 0;
    onProgress();
  };
  for (const line of lines) {
    if (characters > JOIN_CHARACTERS) put(between);
    some.push(line);
    characters += line.length;
  }
  put(end);
  return pieces;
}

const [ARRAY_BEGIN, ARRAY_END, COMMA] = [/^\s*\[/, /\]\s*$/, /,\s*$/];

/**
 * The elements of a JSON array with one or more elements a line, piece by piece. A newline stands between two tokens of JSON,
 * so what can be read in pieces means the same as the whole.
 *
 * @param onProgress called now and then
 * @returns undefined where the pieces are not elements with commas behind them, as when the array is laid out in another way
 */
export function parseElements(pieces: Pieces, onProgress: () => void = () => {}): unknown[] | undefined {
  const elements: unknown[] = [];
  for (const [at, piece] of pieces.entries()) {
    onProgress();
    if (!isUtf8(piece)) return undefined;
    const text = piece.toString('utf8');
    const isLast = at === pieces.length - 1;
    if (!(isLast ? ARRAY_END : COMMA).test(text.slice(-100)) || (at === 0 && !ARRAY_BEGIN.test(text))) return undefined;
    const begun = at === 0 ? text : `[${text}`;
    const ended = isLast ? begun : `${begun.slice(0, begun.lastIndexOf(','))}]`;
    try {
      const values: unknown = JSON.parse(ended);
      if (!Array.isArray(values)) return undefined;
      for (const value of values as unknown[]) elements.push(value);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return undefined;
    }
  }
  return elements;
}
