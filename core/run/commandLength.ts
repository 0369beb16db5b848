/** How long a command may be. */
import { QueuectlError } from '../../utils/errors.js';
import { softLimit } from '../../utils/limits.js';

/** Below, no system is asked: Linux grants at least so much (execve(2): 32 pages). */
const SURELY_FITS = 64 * 1024;
const MEBIBYTE = 1024 * 1024;
const USUAL_STACK = 8 * MEBIBYTE;
/** What Linux grants at most, however large the stack may be: three quarters of 8 MiB. */
const LINUX_LIMIT = 6 * MEBIBYTE;
const OTHER_LIMIT = MEBIBYTE;
/** `sh` and its options, `$QUEUECTL_JOB_ID` and its like, and the names the loader adds. */
const RESERVE = 4096;
/** A long command is handed over in pieces of at least so many bytes … */
const PIECE = 30_000;
/** … each of which takes a pointer, its end, and its number twice. */
const PIECE_OVERHEAD = 24;

/**
 * Refuses a command that could never be started here: it is an argument of `sh`, and a process gets a quarter of the
 * stack's limit for its arguments and its environment (execve(2)). The worker's is taken to be like this process's.
 *
 * @throws QueuectlError INVALID
 */
export function checkLength(command: string): void {
  if (command.length * 3 <= SURELY_FITS) return;
  const bytes = Buffer.byteLength(command);
  if (bytes <= SURELY_FITS) return;
  const limit = longestCommand();
  if (bytes <= limit) return;
  throw new QueuectlError(
    'INVALID',
    `"command" is ${bytes} bytes long, and the system runs at most ${limit}`,
    'Put it in a file, and let the command run that: sh FILE.',
    { data: { field: 'command' } },
  );
}

/** Bytes of UTF-8. */
function longestCommand(): number {
  const room = argumentLimit() - environmentSize() - RESERVE;
  return Math.max(SURELY_FITS, Math.floor((room * PIECE) / (PIECE + PIECE_OVERHEAD)));
}

function argumentLimit(): number {
  if (process.platform !== 'linux') return OTHER_LIMIT;
  return Math.min((softLimit('Max stack size') ?? USUAL_STACK) / 4, LINUX_LIMIT);
}

function environmentSize(): number {
  const pointerAndEnd = 8 + 1;
  let size = 0;
  for (const [name, value = ''] of Object.entries(process.env)) {
    size += Buffer.byteLength(`${name}=${value}`) + pointerAndEnd;
  }
  return size;
}
