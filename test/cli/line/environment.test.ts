import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEnvironment } from '../../../cli/line/environment.js';

test('a file that is named is to be there', () => {
  const earlier = { ...process.env };
  assert.throws(() => loadEnvironment('/nosuch.env', '/nowhere/dist/queuectl.cjs'), {
    code: 'NOT_FOUND',
    message: 'no file "/nosuch.env". Check its name.',
    data: { path: '/nosuch.env' },
  });
  loadEnvironment(undefined, '/nowhere/dist/queuectl.cjs');
  assert.deepEqual({ ...process.env }, earlier);
});
