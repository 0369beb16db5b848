import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is as if there were no perl. */
export const NO_PERL = 'exit 1';

/**
 * Puts a shell script in the place of perl.
 *
 * @param root where there is no `bin` yet
 * @returns the PATH on which it is found
 */
export function pathWithPerl(root: string, script: string): string {
  const bin = join(root, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'perl'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return `${bin}:${process.env.PATH}`;
}
