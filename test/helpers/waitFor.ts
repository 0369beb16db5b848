import { delay, nextTurn } from '../../utils/delay.js';

const LOOK_EVERY_MS = 10;
/** What is to happen takes a hundredth of it; the rest is for a machine that is slow, or busy with something else. */
const DEADLINE_MS = 100_000;

/**
 * Waits until a condition holds.
 *
 * @returns what the condition returned, once that is truthy
 * @throws Error naming the condition, when it does not hold within the deadline
 */
export async function waitFor<T>(condition: () => T | Promise<T>, deadlineMs = DEADLINE_MS): Promise<NonNullable<T>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const began = performance.now();
    const result = await condition();
    if (result) return result;
    const now = performance.now();
    if (now > end) throw new Error(`not within ${deadlineMs} ms: ${condition}`);
    await delay(Math.max(LOOK_EVERY_MS, now - began)); // what it waits for is to have half of the time at least
    // Node 20 goes from timer to timer while one is due, and never gets to what happened outside: where several wait, for ever.
    await nextTurn();
  }
}
