import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findDeadEntryFault } from '../../../db/model/deadEntry.js';
import { checkJobInput } from '../../../db/model/input.js';
import { findJobFault } from '../../../db/model/job.js';
import { LATEST_TIME } from '../../../db/model/rules.js';
import { CONFIG_KEYS, checkConfigKey, findConfigFault } from '../../../db/model/settings.js';
import { QueuectlError } from '../../../utils/errors.js';
import { quote } from '../../../utils/text.js';
import { deadEntry, pendingJob, processingJob, T0 } from '../../helpers/jobFactory.js';

describe('what may be enqueued', () => {
  const accepted: object[] = [
    { command: 'echo hi' },
    { command: ' echo "a\nb"\t# ü 😀 ' },
    { command: 'x', id: 'x'.repeat(255) },
    { command: 'x', id: '😀'.repeat(255) },
    { command: 'x', id: ' a/b:"c"\\ ~ __proto__ ' },
    { command: 'x', max_retries: 0, run_at: 1e12, priority: -1_000_000, timeout: 0, cwd: '/' },
    { command: 'x', max_retries: 1000, run_at: LATEST_TIME, priority: 1_000_000, cwd: '/a b' },
  ];
  for (const input of accepted) {
    test(`${quote(input)} is accepted as it is`, () => assert.equal(checkJobInput(input), input));
  }

  const refused: [input: unknown, fact: string][] = [
    [[], 'a job must be a JSON object'],
    [null, 'a job must be a JSON object'],
    ['echo hi', 'a job must be a JSON object'],
    [{}, 'the job has no "command"'],
    [{ id: 'a' }, 'the job has no "command"'],
    [{ command: ' \n' }, '"command" must be a string that is not empty and has no NUL character, not " \\n"'],
    [{ command: 'a\0b' }, '"command" must be a string that is not empty and has no NUL character, not "a\\u0000b"'],
    [{ command: ['ls'] }, '"command" must be a string that is not empty and has no NUL character, not ["ls"]'],
    [{ command: 'x', cmd: 'y' }, 'unknown field "cmd" in the job'],
    [{ command: 'x', state: 'completed' }, 'unknown field "state" in the job'],
    [JSON.parse('{"command":"x","__proto__":{}}'), 'unknown field "__proto__" in the job'],
    [{ command: 'x', toString: 1 }, 'unknown field "toString" in the job'],
    [{ command: 'x', max_retries: -1 }, '"max_retries" must be an integer from 0 to 1000, not -1'],
    [{ command: 'x', max_retries: '3' }, '"max_retries" must be an integer from 0 to 1000, not "3"'],
    [{ command: 'x', max_retries: 1.5 }, '"max_retries" must be an integer from 0 to 1000, not 1.5'],
    [{ command: 'x', max_retries: null }, '"max_retries" must be an integer from 0 to 1000, not null'],
    [
      { command: 'x', run_at: T0 + 0.5 },
      `"run_at" must be a time in integer milliseconds since the epoch, not before 2001-09-09, not ${T0}.5`,
    ],
    [{ command: 'x', run_at: LATEST_TIME + 1 }, /"run_at" must be a time/.source],
    [{ command: 'x', priority: 1_000_001 }, '"priority" must be an integer from -1000000 to 1000000, not 1000001'],
    [{ command: 'x', cwd: 'tmp' }, '"cwd" must be an absolute path, not "tmp"'],
    [{ command: 'x', cwd: '/a\0b' }, '"cwd" must be an absolute path, not "/a\\u0000b"'],
  ];
  for (const [input, fact] of refused) {
    test(`${quote(input)} is refused: ${fact}`, () => {
      assert.throws(
        () => checkJobInput(input),
        (error) => {
          assert.ok(error instanceof Error && 'code' in error && 'fact' in error);
          assert.equal(error.code, 'INVALID');
          assert.ok(String(error.fact).startsWith(fact), String(error.fact));
          return true;
        },
      );
    });
  }

  for (const id of ['', 'x'.repeat(256), 'a\nb', 'a\u0000', '\u007f', '\u0085', '\ud800', 7, null]) {
    test(`the id ${quote(id)} is refused`, () => {
      const words = 'must be a string of 1 to 255 characters without control characters';
      assert.throws(() => checkJobInput({ command: 'x', id }), { fact: `"id" ${words}, not ${quote(id)}` });
    });
  }
});

test('a time that can only be meant in seconds is refused, and said in milliseconds', () => {
  const remedyFor = (run_at: unknown) => {
    try {
      checkJobInput({ command: 'x', run_at });
    } catch (error) {
      assert.ok(error instanceof QueuectlError);
      assert.deepEqual([error.code, error.data], ['INVALID', { field: 'run_at' }]);
      return error.remedy;
    }
    return undefined;
  };
  assert.equal(remedyFor(1_764_000_000), 'If it is meant in seconds, give 1764000000000: 2025-11-24T16:00:00.000Z.');
  assert.equal(remedyFor(1_764_000_000_000), undefined);
  assert.match(remedyFor(1e12 - 1) ?? '', /give 999999999999000: /);
  assert.equal(remedyFor(1e12), undefined);
  for (const value of [0, 5, 999_999_999, 'soon']) {
    assert.equal(remedyFor(value), 'Leave it out for a job that may run at once.');
  }
});

describe('what may stand in the files', () => {
  test('records as they are made, with fields of newer versions', () => {
    for (const job of [
      pendingJob(),
      processingJob(),
      { ...pendingJob({ priority: 1, cwd: '/', run_at: 0 }), timeout: 5 }, // the earliest time is for input
      pendingJob({ timeout: 0 }),
      { ...processingJob({ attempts: 5 }), state: 'completed', worker_id: null },
      { ...processingJob(), state: 'failed', worker_id: null, last_error: 'exit code 1' },
      pendingJob({ max_retries: 5000 }), // the limit is for input
    ]) {
      assert.equal(findJobFault(job), undefined);
    }
    assert.equal(findDeadEntryFault({ ...deadEntry({ priority: 1, cwd: '/' }), exit_code: 1 }), undefined);
  });

  test('every field of a job is needed and checked', () => {
    for (const field of Object.keys(pendingJob())) {
      assert.equal(findJobFault({ ...pendingJob(), [field]: undefined }), `"${field}" is missing`);
      assert.match(findJobFault({ ...pendingJob(), [field]: false }) ?? '', new RegExp(`^"${field}" must be `));
    }
    for (const field of Object.keys(deadEntry())) {
      assert.equal(findDeadEntryFault({ ...deadEntry(), [field]: undefined }), `"${field}" is missing`);
      assert.match(findDeadEntryFault({ ...deadEntry(), [field]: false }) ?? '', new RegExp(`^"${field}" must be `));
    }
    for (const field of ['priority', 'cwd']) {
      assert.match(findJobFault({ ...pendingJob(), [field]: null }) ?? '', new RegExp(`^"${field}" must be `));
    }
  });

  test('a held job says by whom, since when, and that its attempt counts', () => {
    const needs = 'a processing job needs "worker_id", "processing_started_at" and an attempt in "attempts"';
    assert.equal(findJobFault({ ...processingJob(), worker_id: null }), needs);
    assert.equal(findJobFault({ ...processingJob(), processing_started_at: null }), needs);
    assert.equal(findJobFault({ ...processingJob(), attempts: 0 }), needs);
    assert.equal(findJobFault({ ...pendingJob(), worker_id: 'w' }), '"worker_id" must be null in a pending job');
  });
});

describe('settings', () => {
  const cases: [key: Parameters<typeof findConfigFault>[0], good: unknown[], bad: unknown[]][] = [
    ['max_retries', [0, 3, 1000], [-1, 1001, 1.5, '3', null, Number.NaN]],
    ['backoff_base', [1, 1.5, 3600], [0.99, 3601, '2', Number.NaN, Number.POSITIVE_INFINITY, null]],
    ['backoff_max', [0, 0.5, 1e9], [-1, 1e9 + 1, '1', null, Number.NaN]],
    ['backoff_jitter', [0, 0.5, 1], [-0.1, 1.1, '1', null, Number.NaN]],
    ['job_timeout', [0, 0.5, 2_147_483], [-1, 2_147_484, '1', null, Number.NaN]],
    ['kill_grace', [0, 0.5, 3600], [-1, 3601, '1', null, Number.NaN]],
    ['log_max_bytes', [0, 1, 1e12], [-1, 0.5, 1e12 + 1, '1', null]],
    ['worker_idle_delay', [10, 2000, 3_600_000], [9, 3_600_001, 10.5, '10', null]],
  ];
  for (const [key, good, bad] of cases) {
    test(key, () => {
      for (const value of good) assert.equal(findConfigFault(key, value), undefined, quote(value));
      for (const value of bad) assert.match(findConfigFault(key, value) ?? '', /^must be /, quote(value));
    });
  }

  test('keys have older spellings; others are refused', () => {
    assert.equal(checkConfigKey('max_retries'), 'max_retries');
    assert.equal(checkConfigKey('max_retries_default'), 'max_retries');
    assert.equal(checkConfigKey('default_max_retries'), 'max_retries');
    for (const name of ['retries', 'toString', '__proto__', '', 'MAX_RETRIES']) {
      assert.throws(() => checkConfigKey(name), {
        code: 'INVALID',
        message: `unknown config key ${quote(name)}. Known keys: ${CONFIG_KEYS.join(', ')}.`,
      });
    }
  });
});

test('quote shows any value in one line that is not too long', () => {
  assert.equal(quote('a\nb'), '"a\\nb"');
  assert.equal(quote(undefined), 'undefined');
  assert.equal(quote({ a: [1] }), '{"a":[1]}');
  assert.equal(quote('x'.repeat(100)).length, 60);
});
