import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { withoutRepeats } from '../../utils/complain.js';
import { missing } from '../faults/run.js';

const MODULE = join(import.meta.dirname, '../../utils/complain.ts');
const PROGRAM = `import(${JSON.stringify(MODULE)}).then(({ complain }) => {
  complain('nobody hears this');
  setTimeout(() => console.log('it goes on'), 1);
});`;

test('who complains where there is no room goes on', { skip: missing('test', '-c', '/dev/full') }, () => {
  const full = fs.openSync('/dev/full', 'w');
  const { status, stdout } = spawnSync(process.execPath, ['--import', 'tsx', '-e', PROGRAM], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', full],
  });
  fs.closeSync(full);
  assert.deepEqual({ status, stdout }, { status: 0, stdout: 'it goes on\n' });
});

test('what lasts is said again after ten minutes, and anything else at once', () => {
  const said: string[] = [];
  let now = 0;
  const say = withoutRepeats(
    (text) => said.push(`${now} ${text}`),
    () => now,
  );
  for (now of [0, 1, 599_999, 600_000, 600_001]) say(new Error('no room'));
  say(new Error('no access'));
  assert.deepEqual(said, ['0 no room', '600000 no room', '600001 no access']);
});
