/** Runs tasks one after the other, in the order they were given. */
export class Mutex {
  private last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.last.then(task);
    this.last = result.then(
      () => undefined,
      () => undefined, // the error belongs to whoever awaits `result`
    );
    return result;
  }
}
