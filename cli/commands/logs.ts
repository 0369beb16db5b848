import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Core } from '../../core/openCore.js';
import { quote } from '../../db/schema.js';
import { errnoCode, QueuectlError, storageError } from '../../utils/errors.js';
import { print, toJson, visible } from '../helpers/output.js';
import { withCore } from '../helpers/withCore.js';
import type { Command } from './command.js';

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
      if (json) print(toJson({ id, output: await readFile(file, 'utf8') }));
      else if (process.stdout.isTTY) await showFile(file);
      else await pipeline(createReadStream(file), process.stdout, { end: false });
    } catch (error) {
      if (error instanceof Error && 'syscall' in error && error.syscall === 'write') return; // guardOutput sees to it
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

/** Shows a file on the terminal, which nothing in it can drive. */
async function showFile(file: string): Promise<void> {
  await pipeline(
    createReadStream(file, 'utf8'),
    async function* (chunks: AsyncIterable<string>) {
      for await (const chunk of chunks) yield visible(chunk, '\n\t');
    },
    process.stdout,
    { end: false },
  );
}
