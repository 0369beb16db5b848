/** Resolves after so many milliseconds. (That of node:timers/promises takes its time to load.) */
export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when what has happened outside by now is known: signals, and what other processes have written. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Stops this thread for so many milliseconds, which may be less than one. */
export const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
