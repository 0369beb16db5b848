import fs from 'node:fs';
import type { Core } from '../../core/open.js';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';
import type { Command } from '../line/command.js';
import { print, toJson, visible, write } from '../text/output.js';
import { withCore } from '../withCore.js';

export const logs: Command = {
  name: 'logs',
  words: ['<id>'],
  summary: 'Print what a job has written to stdout and stderr',
  flags: [],
  examples: [
    ['logs job1', 'the output of every attempt so far'],
    ['logs job1 | tail -1', 'its last line'],
  ],
  async run({ dataDir, json }, id: string) {
    const { file, hasRun } = await withCore(dataDir, (core) => findLogFile(core, id));
    try {
      if (json) print(toJson({ id, output: readText(file) }));
      else copyToStdout(file);
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') {
        throw hasRun
          ? new QueuectlError('NOT_FOUND', `the log of job ${quote(id)} is gone`, 'Somebody has deleted it.')
          : new QueuectlError(
              'NOT_FOUND',
              `job ${quote(id)} has not been run yet`,
              'Try later; `queuectl status` tells whether any worker is active.',
            );
      }
      throw storageError(error, `read ${file}`);
    }
  },
};

/** @throws QueuectlError NOT_FOUND: no such job */
async function findLogFile(core: Core, id: string): Promise<{ file: string; hasRun: boolean }> {
  const job = await core.queue.get(id);
  if (job !== undefined) return { file: await core.logFile(id), hasRun: job.attempts > 0 };
  const remedy = 'List the jobs with `queuectl list` and `queuectl dlq-list`.';
  throw new QueuectlError('NOT_FOUND', `no job ${quote(id)}`, remedy);
}

/** A link in the place of a log would lead out of the store. */
const NO_LINK = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW;

function readText(file: string): string {
  const fd = fs.openSync(file, NO_LINK);
  try {
    return fs.readFileSync(fd, 'utf8');
  } finally {
    fs.closeSync(fd);
  }
}

/** Prints a file as it is; on a terminal so that nothing in it can drive it. */
function copyToStdout(file: string): void {
  const decoder = process.stdout.isTTY ? new TextDecoder() : undefined;
  const chunk = Buffer.allocUnsafe(1 << 16);
  const fd = fs.openSync(file, NO_LINK);
  try {
    for (let read = 1; read > 0; ) {
      read = fs.readSync(fd, chunk);
      const bytes = chunk.subarray(0, read);
      const shown = decoder === undefined ? bytes : visible(decoder.decode(bytes, { stream: read > 0 }), '\n\t');
      if (!write(shown)) return;
    }
  } finally {
    fs.closeSync(fd);
  }
}
