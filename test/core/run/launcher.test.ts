import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { notStarted, type Run, type Step } from '../../../core/run/launcher.js';

const RUN: Run = { command: 'true', cwd: '/work', env: {}, logFile: '/s/logs/a~1.log', groupNote: '/s/workers/w.1' };

/** Of each step: the codes that are not the job's fault, and those that are. */
const CASES: Record<Step, readonly [hindrances: string, faults: string]> = {
  log: ['EACCES EAGAIN EDQUOT EIO EMFILE ENFILE ENOENT ENOMEM ENOSPC EROFS', 'EISDIR ELOOP ENAMETOOLONG'],
  note: ['EACCES EDQUOT EIO EMFILE ENFILE ENOENT ENOMEM ENOSPC EROFS', ''],
  directory: ['EAGAIN EMFILE ENFILE ENOMEM', 'EACCES EIO ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM ESTALE'],
  fork: ['EAGAIN ENOMEM EMFILE ENFILE ENOSYS EPERM', ''],
  exec: ['EACCES EAGAIN EIO EMFILE ENFILE ENOENT ENOMEM', 'E2BIG'],
};

test('an attempt that could not be started counts only where the job is at fault', () => {
  for (const [step, [hindrances, faults]] of Object.entries(CASES) as [Step, readonly [string, string]][]) {
    for (const [codes, expected] of [
      [hindrances, true],
      [faults, undefined],
    ] as const) {
      for (const code of codes.split(' ').filter(Boolean)) {
        const ending = notStarted(RUN, step, constants.errno[code as keyof typeof constants.errno]);
        assert.ok(ending.kind === 'not started');
        assert.equal(ending.hindrance, expected, `${step} ${code}`);
      }
    }
  }
});
