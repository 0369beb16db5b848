/** Tells the time: integer milliseconds since the epoch. Passed in wherever a rule depends on it. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();
