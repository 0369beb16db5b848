/**
 * The program that is installed: runs the bundle of `queuectl.ts`, if possible from the code that V8 had compiled when it
 * was built. Another V8 refuses that code, and compiles the bundle as usual; it takes 5 ms of the 20 that a command takes.
 */
import fs from 'node:fs';
import { Script } from 'node:vm';

const CHECKSUM_BYTES = 4;

const file = `${__dirname}/main.cjs`;
const bundle = fs.readFileSync(file);
const cachedData = readCode(`${__dirname}/main.cache`);
const source = `(function (exports, require, module, __filename, __dirname) {${bundle}\n});`;
const script = new Script(source, { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
script.runInThisContext()(exports, require, module, file, __dirname);

/** V8 looks at the length of the code and of its source only, and dies of damaged code. So the file begins with a checksum. */
function readCode(path: string): Buffer | undefined {
  if (!fs.existsSync(path)) return undefined;
  const content = fs.readFileSync(path);
  const code = content.subarray(CHECKSUM_BYTES);
  const isWhole = content.length > CHECKSUM_BYTES && content.readInt32LE() === checksumOf(code);
  return isWhole ? code : undefined;
}

function checksumOf(code: Buffer): number {
  return checksum(code, checksum(bundle, 0));
}

/** Polynomial, by words of four bytes; the last few bytes are a word. (node:zlib, for a CRC-32, takes 3 ms to load.) */
function checksum(bytes: Buffer, before: number): number {
  const words = new Int32Array(Math.ceil(bytes.length / 4));
  Buffer.from(words.buffer).set(bytes);
  let sum = before;
  for (let at = 0; at < words.length; at++) sum = (Math.imul(sum, 31) + (words[at] ?? 0)) | 0;
  return sum;
}

/** What `main.cache` is to hold after what has been run. */
function codeToKeep(): Buffer {
  const code = script.createCachedData();
  const head = Buffer.alloc(CHECKSUM_BYTES);
  head.writeInt32LE(checksumOf(code));
  return Buffer.concat([head, code]);
}

export { codeToKeep, script };
