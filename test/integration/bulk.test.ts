/** Many jobs in one transaction. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { withoutAdvice } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { aboutFiles, storeTest } from './support.js';

/** Ten thousand lines: every other one JSON, the rest plain commands. */
const LINES = Array.from({ length: 10_000 }, (_, at) =>
  at % 2 === 0 ? `{"id":"j${at}","command":"echo ${at}"}` : `echo ${at}`,
);

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
