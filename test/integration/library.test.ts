/** The built library, as docs/library.md says to use it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { installNode } from '../helpers/nodeVersions.js';
import { sqliteMissing } from '../helpers/sqliteTest.js';
import { tempStore } from '../helpers/tempStore.js';

const ROOT = join(import.meta.dirname, '..', '..');
const PAGE = readFileSync(join(ROOT, 'docs', 'library.md'), 'utf8');
const EXAMPLES = Array.from(PAGE.matchAll(/^```js\n(.*?)^```$/gms), ([, program = '']) => program);
const FILES = ['report.mjs', 'report.js', 'report.ts'];

/** One that reads TypeScript, and has SQLite. */
const newest = await installNode('24');

/** Runs a program that is installed beside queuectl. @returns its exit code, and what it prints */
function run(node: string, file: string, program: string) {
  const folder = tempStore();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules', 'queuectl'));
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  writeFileSync(join(folder, file), program);
  const env = { PATH: process.env.PATH, HOME: folder };
  const { status, stdout, stderr } = spawnSync(node, [file], { cwd: folder, env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('the examples of the page print what it says', () => {
  const [inFiles = '', inSqlite = ''] = EXAMPLES;
  const printed = /It prints\n\n```\n(.*?)^```$/ms.exec(PAGE)?.[1];
  for (const file of FILES) {
    test(`as ${file}`, { skip: 'obstacle' in newest && newest.obstacle }, () => {
      assert.ok('program' in newest);
      assert.deepEqual(run(newest.program, file, inFiles), { status: 0, stdout: printed, stderr: '' });
      assert.deepEqual(run(newest.program, file, inSqlite), { status: 0, stdout: 'pending\n', stderr: '' });
    });
  }

  test('with this Node.js, too', { skip: sqliteMissing }, () => {
    assert.deepEqual(run(process.execPath, 'report.mjs', inFiles), { status: 0, stdout: printed, stderr: '' });
    assert.deepEqual(run(process.execPath, 'report.mjs', inSqlite), { status: 0, stdout: 'pending\n', stderr: '' });
  });
});

test('an error that nobody catches shows a line of the library, not all of it', () => {
  const { status, stderr } = run(
    process.execPath,
    'bad.mjs',
    `import { openQueue } from 'queuectl'; openQueue({ store: 'redis://host' });`,
  );
  assert.equal(status, 1);
  assert.match(stderr, /^QueuectlError: openQueue: store: unknown kind of store "redis"\. Give file:\/path/m);
  assert.ok(stderr.length < 2000, stderr.slice(0, 4000));
});
