import { setTimeout as delay } from 'node:timers/promises';

const LOOK_EVERY_MS = 10;
const DEADLINE_MS = 300_000;

/**
 * Waits until a condition holds.
 *
 * @returns what the condition returned, once that is truthy
 * @throws Error naming the condition, when it does not hold within five minutes
 */
export async function until<T>(what: string, condition: () => T | Promise<T>): Promise<NonNullable<T>> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > deadline) throw new Error(`waited ${DEADLINE_MS / 1000} s in vain until ${what}`);
    await delay(LOOK_EVERY_MS);
  }
}
