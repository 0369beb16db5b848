/** Where the store is. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';

/**
 * The data directory: the flag, else `$QUEUECTL_DATA_DIR`, else `db/data` in a clone, else `$XDG_STATE_HOME/queuectl`,
 * else `~/.local/state/queuectl`. An empty variable counts as unset.
 *
 * @param programFile the file this program was started from
 * @returns an absolute path
 */
export function findDataDir(flag: string | undefined, env: NodeJS.ProcessEnv, programFile: string): string {
  const named = flag ?? env.QUEUECTL_DATA_DIR;
  if (named !== undefined && named !== '') return resolve(named);
  const clone = findClone(programFile);
  if (clone !== undefined) return join(clone, 'db', 'data');
  const xdg = env.XDG_STATE_HOME;
  // The XDG base directory specification: a relative path is invalid and to be ignored.
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), '.local', 'state'), 'queuectl');
}

/** The clone that a program file lies in, or undefined: a published package has no tsconfig.json. */
function findClone(programFile: string): string | undefined {
  const dir = dirname(programFile);
  const root = basename(dir) === 'dist' ? dirname(dir) : dirname(dirname(dir));
  const isProgram = [join(root, 'dist'), join(root, 'cli', 'bin')].includes(dir);
  return isProgram && existsSync(join(root, 'tsconfig.json')) ? root : undefined;
}
