import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readInteger, readSeconds } from '../../../cli/line/numbers.js';

test('an integer is read whole or refused', () => {
  assert.equal(readInteger('--count', undefined, 1, 256), undefined);
  assert.equal(readInteger('--count', '1', 1, 256), 1);
  assert.equal(readInteger('--count', '256', 1, 256), 256);
  assert.equal(readInteger('--priority', '-5', -9, 9), -5);
  for (const text of ['0', '257', '1.5', 'abc', '', ' ', '1e1', '0x10', '1_0', '٣', '--', '9'.repeat(400), 'NaN']) {
    assert.throws(
      () => readInteger('--count', text, 1, 256),
      /^QueuectlError: --count must be an integer from 1 to 256, not /,
    );
  }
  assert.throws(() => readInteger('--priority', '99999999999999999999', -9, 9), /from -9 to 9, not /);
});

test('seconds may have a fraction', () => {
  assert.equal(readSeconds('--delay', undefined, 10), undefined);
  assert.equal(readSeconds('--delay', '0', 10), 0);
  assert.equal(readSeconds('--delay', '.5', 10), 0.5);
  assert.equal(readSeconds('--delay', '10', 10), 10);
  for (const text of ['-1', '10.1', 'abc', '', '1e1', '.', 'Infinity']) {
    assert.throws(() => readSeconds('--delay', text, 10), /--delay must be a number of seconds from 0 to 10, not /);
  }
});
