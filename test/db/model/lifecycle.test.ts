import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { afterAttempt, type Decision, describeOutcome, nextRunAt, type Outcome } from '../../../db/model/lifecycle.js';
import { LATEST_TIME } from '../../../db/model/rules.js';
import { T0 } from '../../helpers/jobFactory.js';

const exited = (code: number, lastLine = '') => ({ kind: 'exited', code, lastLine }) as const;
const BASE_2 = { backoff_base: 2, backoff_max: 1e9, backoff_jitter: 0 };

describe('afterAttempt', () => {
  const cases: [title: string, attempts: number, max_retries: number, outcome: Outcome, expected: Decision][] = [
    ['success of the first attempt', 1, 3, exited(0), { next: 'complete' }],
    ['success of the last attempt', 4, 3, exited(0), { next: 'complete' }],
    ['success, whatever it printed', 1, 0, exited(0, 'warning'), { next: 'complete' }],
    ['first failure', 1, 3, exited(1), { next: 'fail', runAt: T0 + 2000, error: 'exit code 1' }],
    ['last failure that is retried', 3, 3, exited(1), { next: 'fail', runAt: T0 + 8000, error: 'exit code 1' }],
    ['failure of the last attempt', 4, 3, exited(1), { next: 'bury', error: 'exit code 1' }],
    ['failure without retries', 1, 0, exited(1), { next: 'bury', error: 'exit code 1' }],
    ['more attempts than allowed (edited by hand)', 9, 3, exited(1), { next: 'bury', error: 'exit code 1' }],
    [
      'death by a signal',
      1,
      3,
      { kind: 'signaled', signal: 'SIGSEGV', lastLine: '' },
      { next: 'fail', runAt: T0 + 2000, error: 'killed by SIGSEGV' },
    ],
    [
      'a command that could not be started',
      2,
      3,
      { kind: 'not started', reason: 'no such directory' },
      { next: 'fail', runAt: T0 + 4000, error: 'could not be started: no such directory' },
    ],
    [
      'death of the worker',
      1,
      3,
      { kind: 'worker died' },
      { next: 'fail', runAt: T0 + 2000, error: 'its worker died' },
    ],
    [
      'death of the worker in the last attempt',
      4,
      3,
      { kind: 'worker died' },
      { next: 'bury', error: 'its worker died' },
    ],
  ];
  for (const [title, attempts, max_retries, outcome, expected] of cases) {
    test(title, () => assert.deepEqual(afterAttempt({ attempts, max_retries }, outcome, BASE_2, T0, 0), expected));
  }
});

describe('the schedule of retries', () => {
  /** Seconds between the end of an attempt and the next one, for a job that never succeeds. */
  function scheduleOf(max_retries: number, backoff_base: number): number[] {
    const seconds: number[] = [];
    for (let attempts = 1; ; attempts++) {
      const decision = afterAttempt({ attempts, max_retries }, exited(1), { ...BASE_2, backoff_base }, T0, 0.5);
      if (decision.next !== 'fail') return seconds;
      seconds.push((decision.runAt - T0) / 1000);
    }
  }

  const schedules: [base: number, retries: number, seconds: number[]][] = [
    [2, 3, [2, 4, 8]],
    [2, 10, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]],
    [3, 4, [3, 9, 27, 81]],
    [1, 3, [1, 1, 1]],
    [1.5, 3, [1.5, 2.25, 3.375]],
    [3600, 2, [3600, 12_960_000]],
    [2, 0, []],
  ];
  for (const [base, retries, seconds] of schedules) {
    test(`base ${base}, ${retries} retries: after ${seconds.join(', ') || 'no'} seconds`, () => {
      assert.deepEqual(scheduleOf(retries, base), seconds);
    });
  }

  test('is in whole milliseconds and never beyond the latest time there is', () => {
    const inDays = { ...BASE_2, backoff_max: 1e300 };
    assert.equal(nextRunAt(3, { ...inDays, backoff_base: 1.0001 }, T0, 0), T0 + 1000);
    assert.equal(nextRunAt(1000, { ...inDays, backoff_base: 3600 }, T0, 0), LATEST_TIME);
    assert.equal(nextRunAt(50, inDays, T0, 0), LATEST_TIME);
  });

  const limits: [retry: number, backoff_max: number, backoff_jitter: number, random: number, seconds: number][] = [
    [3, 100, 0, 0.9, 8],
    [7, 100, 0, 0.9, 100],
    [1001, 100, 0, 0, 100],
    [5, 0, 0, 0, 0],
    [3, 100, 1, 0, 8],
    [3, 100, 1, 0.75, 2],
    [3, 100, 0.5, 0.75, 5],
    [7, 100, 0.5, 0.5, 75],
  ];
  for (const [retry, backoff_max, backoff_jitter, random, seconds] of limits) {
    test(`retry ${retry}, at most ${backoff_max} s, jitter ${backoff_jitter} at ${random}: ${seconds} s`, () => {
      const config = { backoff_base: 2, backoff_max, backoff_jitter };
      assert.equal(nextRunAt(retry, config, T0, random), T0 + seconds * 1000);
    });
  }
});

describe('describeOutcome', () => {
  const cases: [outcome: Parameters<typeof describeOutcome>[0], expected: string][] = [
    [exited(127, 'sh: 1: nosuch: not found'), 'exit code 127: sh: 1: nosuch: not found'],
    [exited(3), 'exit code 3'],
    [{ kind: 'signaled', signal: 'SIGKILL', lastLine: 'almost done' }, 'killed by SIGKILL: almost done'],
    [{ kind: 'not started', reason: 'cannot start a process: x' }, 'could not be started: cannot start a process: x'],
    [{ kind: 'timed out', seconds: 1.5, lastLine: 'step 3' }, 'timed out after 1.5 s: step 3'],
    [{ kind: 'timed out', seconds: 60, lastLine: '' }, 'timed out after 60 s'],
    [{ kind: 'worker died' }, 'its worker died'],
  ];
  for (const [outcome, expected] of cases) test(expected, () => assert.equal(describeOutcome(outcome), expected));
});
