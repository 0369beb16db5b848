import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { findDataDir } from '../../../cli/line/address.js';
import { tempStore } from '../../helpers/tempStore.js';

test('the flag comes before the variable, and both before everything else', () => {
  const root = makeClone();
  const program = join(root, 'dist', 'queuectl.cjs');
  const env = { QUEUECTL_DATA_DIR: '/env', XDG_STATE_HOME: '/xdg' };
  assert.equal(findDataDir('/flag', env, program), '/flag');
  assert.equal(findDataDir('here', env, program), resolve('here'));
  assert.equal(findDataDir(undefined, env, program), '/env');
  assert.equal(findDataDir(undefined, { QUEUECTL_DATA_DIR: '' }, program), join(root, 'db', 'data'));
});

test('a clone keeps its queue in db/data', () => {
  const root = makeClone();
  const env = { XDG_STATE_HOME: '/xdg' };
  for (const program of ['dist/queuectl.cjs', 'cli/bin/queuectl.ts']) {
    assert.equal(findDataDir(undefined, env, join(root, program)), join(root, 'db', 'data'), program);
  }
  for (const elsewhere of [
    'queuectl.cjs',
    'tools/queuectl.cjs',
    'tools/bin/queuectl.cjs',
    'dist/cli/bin/queuectl.cjs',
    'node_modules/q/dist/queuectl.cjs',
  ]) {
    assert.equal(findDataDir(undefined, env, join(root, elsewhere)), '/xdg/queuectl', elsewhere);
  }
});

test('an installed package uses the state directory of the user', () => {
  const program = join(tempStore(), 'dist', 'queuectl.cjs');
  const atHome = join(homedir(), '.local', 'state', 'queuectl');
  assert.equal(findDataDir(undefined, { XDG_STATE_HOME: '/xdg' }, program), '/xdg/queuectl');
  assert.equal(findDataDir(undefined, {}, program), atHome);
  assert.equal(findDataDir(undefined, { XDG_STATE_HOME: '' }, program), atHome);
  assert.equal(findDataDir(undefined, { XDG_STATE_HOME: 'relative' }, program), atHome);
});

function makeClone(): string {
  const root = tempStore();
  mkdirSync(join(root, 'dist'));
  writeFileSync(join(root, 'tsconfig.json'), '{}');
  return root;
}
