/** Resolves after so many milliseconds. (That of node:timers/promises takes its time to load.) */
export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Stops this thread for so many milliseconds, which may be less than one. */
export const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
