import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeEvent } from '../../../cli/text/events.js';
import { toJson, visible } from '../../../cli/text/output.js';
import type { WorkerEvent } from '../../../core/workerManager.js';

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const DRIVES_A_TERMINAL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
const everything = String.fromCharCode(...Array.from({ length: 0x2100 }, (_, code) => code));

test('JSON is printed without a character that could drive a terminal, and means the same', () => {
  const printed = toJson({ command: everything });
  assert.doesNotMatch(printed, DRIVES_A_TERMINAL);
  assert.deepEqual(JSON.parse(printed), { command: everything });
  assert.equal(toJson('\u009b\u007f'), String.raw`"\u009b\u007f"`);
});

test('control characters are made visible', () => {
  assert.equal(visible('a\x1b[31mb\r\x7f\x9b\u202e\u061cé😀'), String.raw`a^[[31mb^M^?\x9b\u202e\u061cé😀`);
  assert.equal(visible('a\tb\nc\x00', '\n\t'), 'a\tb\nc^@');
  assert.equal(visible('a\nb'), 'a^Jb');
  assert.doesNotMatch(visible(everything, '\n'), DRIVES_A_TERMINAL);
});

test('an event is one line', () => {
  const at = new Date(2025, 0, 2, 3, 4, 5);
  const cases: [event: WorkerEvent, line: string][] = [
    [{ kind: 'worker started', index: 2, pid: 7 }, 'Worker 2 started with PID: 7'],
    [{ kind: 'worker ended', pid: 7, how: 'killed by SIGKILL' }, '03:04:05 Worker with PID 7 ended: killed by SIGKILL'],
    [{ kind: 'job started', id: 'job1', attempt: 2 }, '03:04:05 ▶ job1 started, attempt 2'],
    [{ kind: 'job ended', id: 'job1', as: 'complete' }, '03:04:05 ✔ job1 completed'],
    [{ kind: 'job ended', id: '$&', as: 'release' }, '03:04:05 ↩ $& given back'],
    [
      { kind: 'job ended', id: 'job1', as: 'fail', error: 'exit code 1: \x1b[31mno' },
      '03:04:05 ✖ job1 failed, will be retried: exit code 1: ^[[31mno',
    ],
  ];
  for (const [event, line] of cases) assert.equal(describeEvent(event, at), line);
  assert.match(describeEvent({ kind: 'stopping', again: false }, at), /Ctrl-C again ends them/);
  assert.match(describeEvent({ kind: 'stopping', again: true }, at), /given back/);
});
