/** Other versions of Node.js, from the packages of npm that hold its programs. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errnoCode } from '../../utils/errors.js';

const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'node');
const SYSTEM = `${process.platform}-${process.arch}`;
const PACKAGE = `node-${SYSTEM === 'darwin-arm64' ? `bin-${SYSTEM}` : SYSTEM}`;

/** The path of its program, or why it cannot be had. */
export type InstalledNode = { readonly program: string } | { readonly obstacle: string };

/**
 * Installs a version of Node.js, unless it is there from an earlier run.
 *
 * @param version as npm understands it: `24` is the newest 24 there is
 */
export async function installNode(version: string): Promise<InstalledNode> {
  const directory = join(CACHE, version);
  const program = join(directory, 'node_modules', PACKAGE, 'bin', 'node');
  if (existsSync(program)) return { program };
  mkdirSync(CACHE, { recursive: true });
  const under = mkdtempSync(join(CACHE, 'installing-')); // whoever finds the directory finds all of it
  try {
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=0'];
    await promisify(execFile)('npm', ['install', '--prefix', under, ...flags, `${PACKAGE}@${version}`]);
    renameSync(under, directory);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(errnoCode(error) ?? '')) {
      return { obstacle: `${PACKAGE}@${version} cannot be installed: ${reasonOf(error)}` };
    }
  } finally {
    rmSync(under, { recursive: true, force: true });
  }
  return { program };
}

/** What npm says first, as the rest is where its log is. */
function reasonOf(error: unknown): string {
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
  return said.split('\n').find((line) => line.startsWith('npm error')) ?? String(error);
}
