import { constants } from 'node:buffer';
import fs from 'node:fs';
import type { Core } from '../../core/open.js';
import { attemptNumber } from '../../db/model/job.js';
import { QueuectlError, storageError } from '../../utils/errors.js';
import { openRegular } from '../../utils/files.js';
import { quoteWord } from '../../utils/shell.js';
import { quote } from '../../utils/text.js';
import type { Run } from '../line/command.js';
import { print, toJson, visible, write } from '../text/output.js';
import { withCore } from '../withCore.js';
import type { logs } from './index.js';

export const run: Run<typeof logs> = async ({ place, json }, id) => {
  const { files, hasRun } = await withCore(place, (core) => findOutputs(core, id));
  if (files.length === 0) {
    throw hasRun
      ? new QueuectlError('NOT_FOUND', `the log of job ${quote(id)} is gone`, 'Somebody has deleted it.', {
          data: { id },
        })
      : new QueuectlError(
          'NOT_FOUND',
          `job ${quote(id)} has not been run yet`,
          'Try later; `queuectl status` tells whether any worker is active.',
          { data: { id } },
        );
  }
  if (json) print(jsonOf(id, files));
  else for (const file of files) if (!reading(file, copyToStdout)) return;
};

/** @throws QueuectlError STORAGE: it is more than a string can hold */
function jsonOf(id: string, files: readonly string[]): string {
  const bytes = files.reduce((sum, file) => sum + reading(file, (path) => fs.statSync(path)).size, 0);
  try {
    if (bytes <= constants.MAX_STRING_LENGTH) {
      return toJson({ id, output: files.map((file) => reading(file, readText)).join('') });
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // written as JSON it is longer than it is
  }
  const fact = `the output of job ${quote(id)} is too long for one JSON value (${Math.round(bytes / 1e6)} MB)`;
  const remedy = `\`queuectl logs ${quoteWord(id)}\` prints it.`;
  throw new QueuectlError('STORAGE', fact, remedy, { data: { id } });
}

/** @throws QueuectlError NOT_FOUND: no such job */
async function findOutputs(core: Core, id: string): Promise<{ files: string[]; hasRun: boolean }> {
  const job = await core.queue.get(id);
  if (job !== undefined) return { files: core.outputsOf(job), hasRun: attemptNumber(job) > 0 };
  const remedy = 'List the jobs with `queuectl list` and `queuectl dlq-list`.';
  throw new QueuectlError('NOT_FOUND', `no job ${quote(id)}`, remedy, { data: { id } });
}

function reading<T>(file: string, read: (file: string) => T): T {
  try {
    return read(file);
  } catch (error) {
    throw storageError(error, `read ${file}`);
  }
}

/** A link in the place of a log would lead out of the store. */
const NO_LINK = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW;

function readText(file: string): string {
  const fd = openRegular(file, NO_LINK);
  try {
    return fs.readFileSync(fd, 'utf8');
  } finally {
    fs.closeSync(fd);
  }
}

/** Prints a file as it is; on a terminal so that nothing in it can drive it. @returns whether anybody reads on */
function copyToStdout(file: string): boolean {
  const decoder = process.stdout.isTTY ? new TextDecoder() : undefined;
  const chunk = Buffer.allocUnsafe(1 << 16);
  const fd = openRegular(file, NO_LINK);
  try {
    for (let read = 1; read > 0; ) {
      read = fs.readSync(fd, chunk);
      const bytes = chunk.subarray(0, read);
      const shown = decoder === undefined ? bytes : visible(decoder.decode(bytes, { stream: read > 0 }), '\n\t');
      if (!write(shown)) return false;
    }
    return true;
  } finally {
    fs.closeSync(fd);
  }
}
