/** File systems of a test's own, which need root; a user may be root in a namespace of its own. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { test } from 'node:test';
import { assertDone, missing, run } from './run.js';

const isRoot = process.getuid?.() === 0;
const mountMissing = isRoot ? missing('unshare', '-m', 'true') : missing('unshare', '-rm', 'true');
const NAMESPACE_DEADLINE_MS = 300_000;

/**
 * Defines tests that mount file systems: here, or in a namespace where this user is root, or as skipped.
 *
 * @param file the test file
 */
export function mountingTests(file: string, define: () => void): void {
  if (isRoot && !mountMissing) define();
  else testInNamespace(file);
}

function testInNamespace(file: string): void {
  test('with file systems of its own', { skip: mountMissing }, async () => {
    const again = ['unshare', '-rm', process.execPath, '--import', 'tsx', '--test', file];
    const { QUEUECTL_TEST_STORE: store } = process.env;
    const env = store === undefined ? {} : { QUEUECTL_TEST_STORE: store };
    const options = { directory: '/nowhere', env, deadlineMs: NAMESPACE_DEADLINE_MS, cwd: process.cwd() };
    assertDone(await run(again, options), file);
  });
}

export interface Mounted {
  readonly dir: string;
  setReadOnly(is: boolean): void;
}

/** Mounts a file system in memory for as long as something is done with it. @param options as for mount(8) */
export async function withTmpfs(
  dir: string,
  options: string,
  work: (mounted: Mounted) => Promise<void>,
): Promise<void> {
  mkdirSync(dir, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=700,${options}`, 'tmpfs', dir]);
  try {
    // `bind`: root of a namespace may change the mount, but not the file system
    const setReadOnly = (is: boolean) => execFileSync('mount', ['-o', `remount,bind,${is ? 'ro' : 'rw'}`, dir]);
    await work({ dir, setReadOnly });
  } finally {
    execFileSync('umount', ['--lazy', dir]);
  }
}
