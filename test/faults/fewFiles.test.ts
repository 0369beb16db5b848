/** A process that may open few files: it says so at once, and nothing is lost. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe } from 'node:test';
import { assertWithin } from '../helpers/assertWithin.js';
import { storeTest, type TestStore } from '../integration/support.js';
import { assertDone, assertRefused, type Ended, eventually, missing, queuectl, run } from './run.js';
import { fill } from './scenarios.js';

const AT_ONCE_MS = 6000;
const LIMITS = 6;
const WORKER_LIMITS = 10;

/** A command line that runs queuectl with at most so many files open. */
const withFiles = (limit: number, ...args: readonly string[]) => [
  ...['/bin/sh', '-c', `ulimit -n ${limit} && exec "$@"`, 'sh'],
  ...queuectl(...args),
];

describe('few open files', { concurrency: 2, skip: missing('/bin/sh', '-c', 'ulimit -n 64') }, () => {
  /** With fewer Node cannot even start. */
  let least = 8;
  before(async () => {
    while ((await run(withFiles(least, '--version'), { directory: '/nowhere' })).code !== 0) least += 1;
  });

  storeTest('a command names the limit, or works', async (store) => {
    await fill(store.directory);
    const ids = new Set([...store.queue(), ...store.dead()].map(({ id }) => id));
    let refusals = 0;
    for (let limit = least; limit < least + LIMITS; limit++) {
      const id = `with-${limit}`;
      const adds = await run(withFiles(limit, 'enqueue', '--id', id, 'true'), store);
      if (await wasDone(adds)) ids.add(id);
      else refusals += 1;
      for (const args of [['list'], ['status'], ['config-set', 'max_retries', '3'], ['dlq-retry', 'dead']]) {
        if (args[0] === 'dlq-retry' && store.dead().length === 0) continue;
        if (!(await wasDone(await run(withFiles(limit, ...args), store)))) refusals += 1;
      }
    }
    assert.ok(refusals > 0, 'the limits are too high');
    assertDone(await run(queuectl('status'), store), 'without a limit');
    assert.deepEqual(new Set([...store.queue(), ...store.dead()].map(({ id }) => id)), ids);
  });

  storeTest('workers name the limit and do not start, or do what they can', async (store) => {
    let refusals = 0;
    let works = 0;
    for (let limit = least; limit < least + WORKER_LIMITS; limit++) {
      const id = `with-${limit}`;
      await store.enqueue({ id, command: 'true', max_retries: 0 });
      const said = linesOfWorkers(store).length;
      const starts = await run(withFiles(limit, 'worker-start'), store);
      if (await wasDone(starts)) {
        works += 1;
        await eventually(async () => (await isSettled(store, id)) || linesOfWorkers(store).slice(said).some(isWaiting));
        await store.ok('worker-stop');
      } else {
        refusals += 1;
        await eventually(() => store.processes().length === 0);
      }
    }
    assert.ok(refusals > 0 && works > 0, `${refusals} refusals, ${works} works`);
    assert.deepEqual(store.dead(), [], 'no attempt was lost over it');
    for (const { attempts, state } of store.queue()) assert.equal(attempts, state === 'completed' ? 1 : 0);
  });
});

function linesOfWorkers({ dataDir }: TestStore): string[] {
  const log = join(dataDir, 'workers/workers.log');
  return existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
}

const isWaiting = (line: string) => /a job could not be started: .*: too many open files/.test(line);

async function isSettled(store: TestStore, id: string): Promise<boolean> {
  const { code, stdout } = await store.run(['list', '--json']);
  assert.equal(code, 0);
  const job = (JSON.parse(stdout) as { id: string; state: string }[]).find((one) => one.id === id);
  return job === undefined || job.state === 'completed';
}

/** @returns whether a command did what it was told, perhaps with a warning; fails when it names no reason */
async function wasDone(ended: Ended): Promise<boolean> {
  await assertWithin(ended.ms, AT_ONCE_MS, 'few files');
  if (ended.code === 0) return true;
  assertRefused({ ...ended, stdout: ended.stdout.replace(/^Starting .*\n/, '') }, 'few files');
  assert.match(ended.stderr, /: too many open files\. Raise the limit/);
  return false;
}
