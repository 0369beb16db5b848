/** Many jobs in one transaction. */
import assert from 'node:assert/strict';
import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { withoutAdvice } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { aboutFiles, storeTest } from './support.js';

/** Ten thousand lines: every other one JSON, the rest plain commands. */
const LINES = Array.from({ length: 10_000 }, (_, at) =>
  at % 2 === 0 ? `{"id":"j${at}","command":"echo ${at}"}` : `echo ${at}`,
);

/** Of some 2 KB each: with the first number a queue is read and written in pieces, with the other it is longer than any string. */
const isLong = process.env.QUEUECTL_CHAOS === '1';
const LONG_LINES = isLong ? 300_000 : 18_000;

describe('a queue that is long in bytes', () => {
  storeTest(
    'is added to, listed, worked on and looked over',
    async (store) => {
      const file = join(store.root, 'jobs');
      const fd = openSync(file, 'w');
      for (let at = 0; at < LONG_LINES; at += 1000) {
        const lines = Array.from({ length: 1000 }, (_, line) => `: ${at + line} ${'x'.repeat(2000)}\n`);
        writeSync(fd, lines.join(''));
      }
      closeSync(fd);
      assert.equal(await store.ok('enqueue', '--delay', '86400', '--file', file), `Enqueued ${LONG_LINES} jobs\n`);
      assert.ok(statSync(join(store.dataDir, 'queue.json')).size > 2 ** 25);
      await store.ok('enqueue', '--id', 'last', '--priority', '1', 'true'); // behind them
      const twice = await store.run(['enqueue', '--id', 'last', 'true']);
      assert.match(twice.stderr, /the id "last" is taken/);
      await store.startWorkers();
      await store.ok('enqueue', '--id', 'beside', 'true');
      await waitFor(async () => (await store.counts()).completed === 2);
      await store.ok('worker-stop');
      assert.equal((await store.counts()).pending, LONG_LINES);
      const listed = JSON.parse(await store.ok('list', '--state', 'completed')) as { id: string }[];
      assert.deepEqual(
        listed.map(({ id }) => id),
        ['last', 'beside'],
      );
      const { code, stdout } = await store.run(['doctor']);
      assert.equal(code, 0, stdout);
      assert.ok(stdout.includes(`queue.json: ${LONG_LINES + 2} jobs`), stdout);
      // One record is damaged: the others are kept, though they stand in other pieces.
      const queue = openSync(join(store.dataDir, 'queue.json'), 'r+');
      writeSync(queue, '#', 30_000_000);
      writeSync(queue, '\n#', 30_000_100);
      closeSync(queue);
      const refused = await store.run(['status']);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /queue\.json is damaged: it is no/);
      assert.equal((await store.run(['doctor', '--fix'])).code, 0);
      const left = (await store.counts()).pending;
      assert.ok(left === LONG_LINES || left === LONG_LINES - 1, `${left} are left`);
      if (isLong) rmSync(store.dataDir, { recursive: true }); // the tests themselves read it as a string
    },
    aboutFiles,
  );
});

describe('enqueue -', { concurrency: 2 }, () => {
  storeTest('adds ten thousand lines, of which nobody sees a part', async (store) => {
    await store.ok('enqueue', '{"id":"before","command":"true"}');
    const enqueued = store.run(['enqueue', '-'], `${LINES.join('\n')}\n`);
    const seen = new Set<number>();
    await waitFor(() => seen.add(store.queue().length).size > 1);
    assert.deepEqual([...seen], [1, 10_001]);
    const { code, stdout, stderr } = await enqueued;
    assert.deepEqual(
      { code, stdout, stderr: withoutAdvice(stderr) },
      { code: 0, stdout: 'Enqueued 10000 jobs\n', stderr: '' },
    );
    const [before, ...jobs] = store.queue();
    assert.equal(before?.id, 'before');
    assert.deepEqual(
      jobs.map(({ command }) => command),
      LINES.map((_, at) => `echo ${at}`),
    );
    assert.deepEqual(
      jobs.filter((_, at) => at % 2 === 0).map(({ id }) => id),
      LINES.flatMap((_, at) => (at % 2 === 0 ? [`j${at}`] : [])),
    );
    assert.equal(new Set(jobs.map(({ id }) => id)).size, LINES.length);
  });

  storeTest(
    'adds them in one commit',
    async (store) => {
      await store.ok('enqueue', '{"id":"before","command":"true"}');
      const { first } = store.journal();
      assert.equal((await store.run(['enqueue', '-'], LINES.join('\n'))).code, 0);
      assert.equal(store.journal().first, first + 2, 'one commit, and the seal of the journal it is folded from');
    },
    aboutFiles,
  );

  for (const [fault, line, expected] of [
    ['is malformed', '{"id":"x","command":"echo x"', /^queuectl: line 7000: malformed JSON .*Nothing was enqueued\./],
    ['has an id that is taken', '{"id":"before","command":"echo x"}', /^queuectl: line 7000: the id "before" is taken/],
  ] as const) {
    storeTest(`names line 7000 when it ${fault}, and enqueues nothing`, async (store) => {
      await store.ok('enqueue', '{"id":"before","command":"true"}');
      const before = store.shelf.lastChange();
      const { code, stdout, stderr } = await store.run(['enqueue', '-'], LINES.with(6999, line).join('\n'));
      assert.match(stderr, expected);
      assert.equal(stderr.trimEnd().includes('\n'), false, 'one line');
      assert.equal(stdout, '');
      assert.equal(code, fault === 'is malformed' ? 2 : 1);
      assert.deepEqual(
        store.queue().map(({ id }) => id),
        ['before'],
      );
      assert.equal(store.shelf.lastChange(), before, 'nothing was committed');
    });
  }
});
