import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mutex } from '../../utils/mutex.js';

test('tasks run one after the other, in the order they were given', async () => {
  const mutex = new Mutex();
  const events: string[] = [];
  const task = (name: string, turns: number) =>
    mutex.run(async () => {
      events.push(`${name} begins`);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      events.push(`${name} ends`);
      return name;
    });
  assert.deepEqual(await Promise.all([task('a', 3), task('b', 0), task('c', 1)]), ['a', 'b', 'c']);
  assert.deepEqual(events, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

test('a task that fails fails for its caller alone', async () => {
  const mutex = new Mutex();
  const failure = new Error('no');
  const failed = mutex.run(() => Promise.reject(failure));
  const next = mutex.run(async () => 'done');
  await assert.rejects(failed, failure);
  assert.equal(await next, 'done');
});
