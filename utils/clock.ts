/** Tells the time: integer milliseconds since the epoch. Passed in wherever a rule depends on it. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();

/** Milliseconds since some moment in the past, whatever is done to the clock. (`performance` takes its time to load.) */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
