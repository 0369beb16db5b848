export type ErrorCode =
  | 'USAGE' // the command line, or a value on it, is wrong
  | 'INVALID' // a job, a setting or another input breaks a rule
  | 'NOT_FOUND'
  | 'DUPLICATE_ID'
  | 'DAMAGED' // a file of the store cannot be trusted
  | 'BUSY' // the store stayed locked too long
  | 'STORAGE'; // the file system refused

/** What each kind of error makes the command line exit with: 2 for bad input, 1 for everything else. */
const EXIT_CODES: Record<ErrorCode, 1 | 2> = {
  USAGE: 2,
  INVALID: 2,
  NOT_FOUND: 1,
  DUPLICATE_ID: 1,
  DAMAGED: 1,
  BUSY: 1,
  STORAGE: 1,
};

/** What an error is about, as far as it is known, for programs. */
export interface ErrorData {
  /** Of a job. */
  readonly id?: string;
  /** Of a job, or a setting. */
  readonly field?: string;
  /** Which of the jobs that were given together, from 0. */
  readonly index?: number;
  /** Of what was read, from 1. */
  readonly line?: number;
  /** Of a file or a directory. */
  readonly path?: string;
  /** Of the system call that failed, as in `ENOSPC`. */
  readonly errno?: string;
}

interface ErrorOptions {
  readonly cause?: unknown;
  readonly data?: ErrorData;
}

/** An error meant to be read by the user. Printed as `queuectl: <fact>. <remedy>`. */
export class QueuectlError extends Error {
  readonly code: ErrorCode;
  /** What went wrong, with the values; no full stop at its end. */
  readonly fact: string;
  /** What the user can do about it; a sentence, or empty. */
  readonly remedy: string;
  readonly data: ErrorData;

  constructor(code: ErrorCode, fact: string, remedy = '', { cause, data = {} }: ErrorOptions = {}) {
    super(remedy === '' ? `${fact}.` : `${fact}. ${remedy}`, cause === undefined ? {} : { cause });
    this.name = 'QueuectlError';
    this.code = code;
    this.fact = fact;
    this.remedy = remedy;
    this.data = data;
  }

  /** The same error as somebody sees it who knows more about it. */
  with({ fact = this.fact, remedy = this.remedy, data = {} }: { fact?: string; remedy?: string; data?: ErrorData }) {
    return new QueuectlError(this.code, fact, remedy, { cause: this, data: { ...this.data, ...data } });
  }

  get exitCode(): 1 | 2 {
    return EXIT_CODES[this.code];
  }
}

/** The code of a failed system call (`ENOENT` …), or undefined for any other error. */
export function errnoCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Stands beside the system's codes: there is something in the place of a file that is none. */
export const NOT_REGULAR = 'ENOTREG';

const ERRNO_REMEDIES: Record<string, string> = {
  ENOENT: 'Check the path, or choose another place for the queue.',
  EACCES: 'Check who owns it and its permissions, or choose another place for the queue.',
  EPERM: 'Check who owns it and its permissions, or choose another place for the queue.',
  EROFS: 'The file system is read-only; choose another place for the queue.',
  ENOTDIR: 'Choose another place for the queue.',
  EEXIST: 'Choose another place for the queue.',
  EISDIR: 'Move the directory away.',
  [NOT_REGULAR]: 'Move away what is in its place.',
  ELOOP: 'Put a file in the place of the link.',
  ENOSPC: 'Make room and try again.',
  EDQUOT: 'Make room and try again.',
  EFBIG: 'Raise the limit with `ulimit -f` and try again.',
  EMFILE: 'Raise the limit with `ulimit -n` and try again.',
  ENFILE: 'Close other programs and try again.',
  EIO: 'Check the disk.',
  EAGAIN: 'End other programs, or raise the limit with `ulimit -u`, and try again.',
  ENOMEM: 'End other programs and try again.',
};

const ERRNO_FACTS: Record<string, string> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'read-only file system',
  ENOTDIR: 'not a directory',
  EEXIST: 'not a directory',
  EISDIR: 'is a directory',
  [NOT_REGULAR]: 'is not a regular file',
  ELOOP: 'is a symbolic link',
  ENOSPC: 'no space left on device',
  EDQUOT: 'disk quota exceeded',
  EFBIG: 'the file would grow too large',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files in the system',
  EIO: 'input/output error',
  EAGAIN: 'the system takes no more for now',
  ENOMEM: 'out of memory',
};

/**
 * Puts a failed system call into words for the user.
 *
 * @param doing what was being done, as in `write /data/queue.json`
 * @returns the error itself when it is already a QueuectlError or no system call's
 */
export function storageError(error: unknown, doing: string): unknown {
  if (error instanceof QueuectlError) return error;
  const code = errnoCode(error);
  if (code === undefined) return error;
  return new QueuectlError('STORAGE', `cannot ${doing}: ${ERRNO_FACTS[code] ?? code}`, ERRNO_REMEDIES[code] ?? '', {
    cause: error,
    data: { errno: code, ...pathOf(error) },
  });
}

/**
 * What the system has refused, for who tries again later.
 *
 * @throws the error itself when it is neither a QueuectlError nor a system call's: this program is at fault
 */
export function refusalOf(error: unknown): QueuectlError {
  if (!(error instanceof Error)) throw error;
  const { syscall = 'go on', path = '' }: NodeJS.ErrnoException = error;
  const refusal = storageError(error, `${syscall} ${path}`.trimEnd());
  if (refusal instanceof QueuectlError) return refusal;
  throw error;
}

const pathOf = (error: unknown) =>
  error instanceof Error && 'path' in error && typeof error.path === 'string' ? { path: error.path } : {};
