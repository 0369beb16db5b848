/** Tests that need SQLite: skipped, with the reason, on a Node that has none and without the package for it. */
import nodeTest, { describe as nodeDescribe, type TestContext } from 'node:test';
import { loadDriver } from '../../db/stores/sql/driver.js';
import { QueuectlError } from '../../utils/errors.js';

/** Why there is none, or false. */
export const sqliteMissing = findReason();

function findReason(): string | false {
  try {
    loadDriver();
    return false;
  } catch (error) {
    if (error instanceof QueuectlError) return error.message;
    throw error;
  }
}

type Run = (t: TestContext) => void | Promise<void>;

export function test(name: string, run: Run): void;
export function test(name: string, options: { readonly skip: boolean | string }, run: Run): void;
export function test(name: string, ...rest: [Run] | [{ readonly skip: boolean | string }, Run]): void {
  const [{ skip }, run] = rest.length === 1 ? [{ skip: false }, rest[0]] : rest;
  void nodeTest(name, { skip: sqliteMissing || skip }, run);
}

export function describe(name: string, define: () => void): void {
  void nodeDescribe(name, { skip: sqliteMissing }, define);
}
