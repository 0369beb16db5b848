import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

const made: string[] = [];

// Of the whole file: a hook made in a test or in another hook ends with that, and the store may be needed longer.
after(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
});

/** A directory for a store, which is empty now and gone after the tests of this file. */
export function tempStore(): string {
  const dir = mkdtempSync(join(tmpdir(), 'queuectl-test-'));
  made.push(dir);
  return dir;
}
