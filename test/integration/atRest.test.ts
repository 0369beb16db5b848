/** Where nobody works the journal is empty and the snapshot is the whole truth. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { waitFor } from '../helpers/waitFor.js';
import { aboutFiles, kill, storeTest, UNTIL_GO } from './support.js';

describe('at rest', { concurrency: 3 }, () => {
  storeTest('after each command', async (store) => {
    const entry = {
      id: 'dead',
      command: 'false',
      attempts: 4,
      max_retries: 3,
      error: 'exit code 1',
      failed_at: 1,
      created_at: 1,
    };
    await store.ok('enqueue', '{"id":"a","command":"true"}');
    store.shelf.putDead(entry);
    for (const [args, ids, deadIds] of [
      [['enqueue', '{"id":"b","command":"true"}'], ['a', 'b'], ['dead']],
      [['config-set', 'max_retries', '1'], ['a', 'b'], ['dead']],
      [['dlq-retry', 'dead'], ['dead', 'a', 'b'], []],
      [['status'], ['dead', 'a', 'b'], []],
      [['enqueue', '{"id":"c","command":"true"}'], ['dead', 'a', 'b', 'c'], []],
    ] as const) {
      await store.ok(...args);
      store.assertAtRest();
      assert.deepEqual(
        store.queue().map(({ id }) => id),
        ids,
        args[0],
      );
      assert.deepEqual(
        store.dead().map(({ id }) => id),
        deadIds,
        args[0],
      );
    }
    assert.deepEqual(JSON.parse(await store.ok('list')), store.queue());
  });

  storeTest('and soon after a commit, though every slot of every worker is taken', async (store) => {
    await store.enqueue({ id: 'long', command: UNTIL_GO });
    await store.startWorkers();
    await waitFor(() => store.job('long').state === 'processing');
    await store.enqueue({ id: 'later', command: 'true' });
    await waitFor(() => store.queue().some(({ id }) => id === 'later'), 30_000);
    store.go();
    await waitFor(() => store.completed() === 2);
    await store.ok('worker-stop');
  });

  for (const [stop, seconds, end] of [
    [['worker-stop'], 0.5, 'completed'],
    [['worker-stop', '--now'], 60, 'pending'],
  ] as const) {
    storeTest(`once ${stop.join(' ')} has returned`, async (store) => {
      await store.enqueue({ id: 'a', command: 'true' }, { id: 'b', command: 'false', max_retries: 0 });
      await store.startWorkers('--count', '2');
      await waitFor(() => store.dead().length === 1 && store.job('a').state === 'completed');
      await store.enqueue({ id: 'c', command: `: > begun; sleep ${seconds}` });
      await waitFor(() => store.has('begun'));
      await store.ok(...stop);
      await store.assertNothingLeft();
      assert.deepEqual(JSON.parse(await store.ok('list')), store.queue());
      assert.deepEqual(JSON.parse(await store.ok('dlq-list')), store.dead());
      assert.equal(store.job('c').state, end);
    });
  }

  storeTest('after everybody was killed, the next command writes what they left', async (store) => {
    await store.ok('config-set', 'worker_idle_delay', '60000');
    await store.startWorkers('--count', '2');
    await store.enqueue({ id: 'long', command: ': > begun; exec sleep 60' });
    await waitFor(() => store.has('begun'));
    const all = store.processes();
    for (const { pid } of all) kill(pid, 'SIGSTOP'); // so that nobody folds the commit that follows
    await store.ok('enqueue', '--id', 'last', 'true');
    for (const { pid } of all) kill(pid);
    await waitFor(() => store.processes().length === 0);
    assert.equal(store.shelf.isAtRest(), false, 'only this makes the test worth anything');
    if (aboutFiles === undefined) assert.ok(!store.queue().some(({ id }) => id === 'last'));
    const listed = JSON.parse(await store.ok('list'));
    assert.equal(listed.at(-1).id, 'last');
    store.assertAtRest();
    assert.deepEqual(store.queue(), listed);
    assert.equal(store.job('long').state, 'processing', 'list takes nothing back');
    assert.equal((await store.counts()).failed, 1);
    assert.deepEqual([store.job('long').state, store.job('long').attempts], ['failed', 1]);
  });
});
