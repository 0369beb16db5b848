/** Variables that are kept in files. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { findClone, fromFile } from '../../core/address.js';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';

/** Two names for where the queue is: who sets one of them does not mean the other. */
const PLACES = ['QUEUECTL_STORE', 'QUEUECTL_DATA_DIR'] as const;

/**
 * Adds to the environment what `--env-file` names, and then the `.env` of a clone. A variable that is set already wins,
 * and so does a queue that is named already, by whichever variable.
 *
 * @throws QueuectlError NOT_FOUND, STORAGE: a file cannot be read
 */
export function loadEnvironment(envFile: string | undefined, programFile: string): void {
  if (envFile !== undefined) load(envFile);
  const clone = findClone(programFile);
  if (clone === undefined) return;
  const file = join(clone, '.env');
  if (existsSync(file)) load(file);
}

function load(file: string): void {
  const isNamed = PLACES.some((name) => process.env[name]);
  const unset = PLACES.filter((name) => process.env[name] === undefined);
  try {
    readFileSync(file); // whose errors tell what is wrong; those of the next line do not
    process.loadEnvFile(file);
  } catch (error) {
    const data = { path: file };
    if (errnoCode(error) === 'ENOENT') {
      throw new QueuectlError('NOT_FOUND', `no file ${quote(file)}`, 'Check its name.', { data });
    }
    const told = storageError(error, `read ${file}`);
    throw told instanceof QueuectlError ? told.with({ remedy: 'It is to be a file that you can read.', data }) : told;
  }
  for (const name of unset) {
    const text = process.env[name];
    if (isNamed) delete process.env[name];
    else if (text) process.env[name] = fromFile(text, dirname(resolve(file)));
  }
}
