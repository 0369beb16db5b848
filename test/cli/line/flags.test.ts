import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FLAGS, type Flag } from '../../../cli/line/flags.js';

function assertReads<T>(flag: Flag<string, T>, good: Record<string, T>, bad: string[], says: RegExp): void {
  for (const [text, value] of Object.entries(good)) assert.equal(flag.read(text), value, text);
  for (const text of bad) assert.throws(() => flag.read(text), { code: 'USAGE', fact: says }, text);
}

test('an integer is read whole or refused', () => {
  assertReads(
    FLAGS.count,
    { 1: 1, 256: 256, '+7': 7 },
    ['0', '257', '1.5', 'abc', '', ' ', '1e1', '0x10', '1_0', '٣', '--', '9'.repeat(400), 'NaN'],
    /^--count must be an integer from 1 to 256, not /,
  );
  assertReads(FLAGS.priority, { '-5': -5 }, ['99999999999999999999'], /from -1000000 to 1000000, not /);
});

test('seconds may have a fraction', () => {
  assertReads(
    FLAGS.delay,
    { 0: 0, '.5': 0.5, 10: 10 },
    ['-1', '1000000001', 'abc', '', '1e1', '.', 'Infinity'],
    /^--delay must be a number of seconds from 0 to 1000000000, not /,
  );
  assert.equal(FLAGS.timeout.read('0'), 0);
});

test('a time is in milliseconds; one in seconds is refused with what to type', () => {
  assertReads(FLAGS.runAt, { 1764000000000: 1764000000000 }, ['noon', '1.5', ''], /^--run-at must be an integer, in /);
  assert.throws(() => FLAGS.runAt.read('1764000000'), {
    code: 'USAGE',
    fact: '--run-at must be a time in integer milliseconds since the epoch, not before 2001-09-09, not 1764000000',
    remedy: 'If it is meant in seconds, give 1764000000000: 2025-11-24T16:00:00.000Z.',
  });
});

test('one of a list', () => {
  assertReads(FLAGS.state, { dead: 'dead', failed: 'failed' }, ['dying', 'Dead', ''], /^unknown state "/);
});

test('every flag has one name, which no other has, and says what it is', () => {
  const flags: readonly Flag[] = Object.values(FLAGS);
  const names = flags.flatMap(({ name, alias }) => [name, ...(alias === undefined ? [] : [alias])]);
  assert.equal(new Set(names).size, names.length);
  for (const { name, describe } of flags) assert.match(describe, /^[A-Z]/, name);
});
