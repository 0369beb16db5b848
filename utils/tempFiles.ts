/** Writing what is to replace a file. Apart from files.ts because write-file-atomic takes its time to load. */
import fs from 'node:fs';
import writeFileAtomic from 'write-file-atomic';
import { storageError } from './errors.js';
import { type FileIdentity, identityOf, noSpace, removeFile } from './files.js';
import { lengthOf, type Pieces } from './pieces.js';
import { randomHex } from './random.js';

/**
 * Writes what is to replace a file, beside it, on disk with mode 0600. `rename` then puts it into place. Its name cannot
 * be told beforehand, so nobody can have planted a link there.
 *
 * write-file-atomic does not notice a short write: on a full disk version 7.0.1 keeps a truncated file and reports
 * success. Hence the check of the length.
 *
 * @param onProgress called after each of several pieces; what it throws ends the writing
 * @returns the temporary file's path and identity; a rename keeps the identity
 * @throws QueuectlError STORAGE: nothing is left of it
 */
export function writeTemp(
  path: string,
  content: Buffer | Pieces,
  onProgress: () => void = () => {},
): { path: string; identity: FileIdentity } {
  const temp = `${path}.${process.pid}-${randomHex(16)}.tmp`;
  const pieces = Buffer.isBuffer(content) ? [content] : content;
  const [whole = NOTHING, ...more] = pieces;
  try {
    if (more.length === 0) writeFileAtomic.sync(temp, whole, { mode: 0o600 });
    else writePieces(temp, pieces, onProgress);
  } catch (error) {
    removeFile(temp);
    throw storageError(error, `write ${path}`);
  }
  const identity = identityOf(temp);
  if (identity?.size === lengthOf(pieces)) return { path: temp, identity };
  if (identity === null) throw storageError(Object.assign(new Error(temp), { code: 'ENOENT' }), `write ${path}`);
  removeFile(temp);
  throw noSpace(path);
}

const NOTHING = Buffer.alloc(0);

/** write-file-atomic takes one buffer, and hands it over in one call. */
function writePieces(temp: string, pieces: Pieces, onProgress: () => void): void {
  const fd = fs.openSync(temp, 'wx', 0o600);
  try {
    for (const piece of pieces) {
      for (let rest = piece; rest.length > 0; ) rest = rest.subarray(fs.writeSync(fd, rest));
      fs.fdatasyncSync(fd); // a piece at a time, so that there is something to tell of meanwhile
      onProgress();
    }
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
