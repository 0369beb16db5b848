/** Writing what is to replace a file. Apart from files.ts because write-file-atomic takes its time to load. */
import writeFileAtomic from 'write-file-atomic';
import { storageError } from './errors.js';
import { type FileIdentity, identityOf, noSpace, removeFile } from './files.js';
import { randomHex } from './random.js';

/**
 * Writes what is to replace a file, beside it, on disk with mode 0600. `rename` then puts it into place. Its name cannot
 * be told beforehand, so nobody can have planted a link there.
 *
 * write-file-atomic does not notice a short write: on a full disk version 7.0.1 keeps a truncated file and reports
 * success. Hence the check of the length.
 *
 * @returns the temporary file's path and identity; a rename keeps the identity
 */
export function writeTemp(path: string, content: Buffer): { path: string; identity: FileIdentity } {
  const temp = `${path}.${process.pid}-${randomHex(16)}.tmp`;
  try {
    writeFileAtomic.sync(temp, content, { mode: 0o600 });
  } catch (error) {
    removeFile(temp);
    throw storageError(error, `write ${path}`);
  }
  const identity = identityOf(temp);
  if (identity?.size === content.length) return { path: temp, identity };
  if (identity === null) throw storageError(Object.assign(new Error(temp), { code: 'ENOENT' }), `write ${path}`);
  removeFile(temp);
  throw noSpace(path);
}
