import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from './waitFor.js';

/** How long one looks: longer than until the next look of another. */
const LOOK_MS = 12;
const DEADLINE_MS = 10_000;

test('several that wait, and look for long, let what they wait for come', async () => {
  let ended = false;
  spawn('true').on('close', () => {
    ended = true;
  });
  const look = () => {
    const end = performance.now() + LOOK_MS;
    while (performance.now() < end);
    return ended;
  };
  await Promise.all(
    [1, 2, 3, 4].map(async (startMs) => {
      await delay(startMs);
      await waitFor(look, DEADLINE_MS);
    }),
  );
  assert.ok(ended);
});

test('what does not come within the deadline is named', async () => {
  await assert.rejects(
    waitFor(() => 1 > 2, 20),
    /^Error: not within 20 ms: \(\) *=> *1 *> *2$/,
  );
});
