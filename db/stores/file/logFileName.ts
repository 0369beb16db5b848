import { sha256 } from '../../../utils/files.js';

const PLAIN = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;

/**
 * The name of a job's log file: the id itself where it is plain, else `~` and a hash of it, so that an id like
 * `../../etc/passwd` stays in the directory and two ids never share a file.
 */
export function logFileName(jobId: string): string {
  return `${PLAIN.test(jobId) ? jobId : `~${sha256(jobId).slice(0, 32)}`}.log`;
}
