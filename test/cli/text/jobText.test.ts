import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain, readJob, readJobLines } from '../../../cli/text/jobText.js';
import { QueuectlError } from '../../../utils/errors.js';

const CWD = '/home/me';
const lines = (text: string | Buffer) => readJobLines(Buffer.from(text), {}, CWD);

function assertRefused(read: () => unknown, code: QueuectlError['code'], message: RegExp): void {
  assert.throws(read, (error) => {
    assert.ok(error instanceof QueuectlError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

test('a text is JSON when its first character that is not blank is {', () => {
  assert.deepEqual(readJob('echo {hi}', {}, CWD), { cwd: CWD, command: 'echo {hi}' });
  assert.deepEqual(readJob(' \n{"command":"echo hi","cwd":"/tmp"}', {}, CWD), { cwd: '/tmp', command: 'echo hi' });
  assert.deepEqual(readJob('[ -f x ]', {}, CWD), { cwd: CWD, command: '[ -f x ]' });
  assertRefused(
    () => readJob('{ echo hi; }', {}, CWD),
    'INVALID',
    /malformed JSON at column 3: unexpected "echo hi; }"/,
  );
});

test('a flag completes the JSON and must not contradict it', () => {
  const text = '{"command":"a","max_retries":2}';
  assert.deepEqual(readJob(text, { id: 'x', priority: 1 }, CWD), {
    cwd: CWD,
    command: 'a',
    max_retries: 2,
    id: 'x',
    priority: 1,
  });
  assert.equal(readJob(text, { max_retries: 2 }, CWD).max_retries, 2);
  assertRefused(() => readJob(text, { max_retries: 3 }, CWD), 'USAGE', /"max_retries" is 2, but a flag says 3/);
});

test('each line that is not blank is a job, and knows its line', () => {
  const text = '\uFEFFecho 1\r\n\n   \n  {"command":"echo 2","id":"two"}\necho "3 "';
  assert.deepEqual(lines(text), [
    { line: 1, job: { cwd: CWD, command: 'echo 1' } },
    { line: 4, job: { cwd: CWD, command: 'echo 2', id: 'two' } },
    { line: 5, job: { cwd: CWD, command: 'echo "3 "' } },
  ]);
  assert.deepEqual(lines(''), []);
  assert.deepEqual(lines('\n\n'), []);
});

test('a flag is the default of every line', () => {
  const read = readJobLines(Buffer.from('a\n{"command":"b","priority":7}'), { priority: 1, max_retries: 0 }, CWD);
  assert.deepEqual(
    read.map(({ job }) => [job.priority, job.max_retries]),
    [
      [1, 0],
      [7, 0],
    ],
  );
});

test('a bad line is named', () => {
  const good = 'echo\n'.repeat(16);
  assertRefused(() => lines(`${good}{"command":}`), 'INVALID', /^line 17: malformed JSON at column 12/);
  const latin1 = Buffer.concat([Buffer.from('echo é\necho '), Buffer.from([0xe9]), Buffer.from('\necho')]);
  assertRefused(() => lines(latin1), 'INVALID', /^line 2: not UTF-8/);
  assertRefused(() => lines(Buffer.from([0xe9])), 'INVALID', /^line 1: not UTF-8/);
  const long = Buffer.concat([Buffer.from('echo\necho '), Buffer.alloc(101_000_000, 'x'), Buffer.from('\necho')]);
  assertRefused(() => lines(long), 'INVALID', /^line 2: it is longer than 100 MB/);
});

test('an error of core names the line', () => {
  const read = lines('{"command":"a","id":"x"}\n\n{"command":"b","id":"x"}\n{"command":"c","id":"y"}\n');
  const explained = (code: QueuectlError['code'], data: QueuectlError['data']) => {
    const error = explain(new QueuectlError(code, 'fact', 'Remedy.', { data }), read);
    assert.equal(error.code, code);
    return [error.fact, error.remedy, error.data];
  };
  assert.deepEqual(explained('INVALID', { index: 1 }), [
    'line 3: fact',
    'Nothing was enqueued. Remedy.',
    { index: 1, line: 3 },
  ]);
  const remedy = 'Nothing was enqueued; choose another id.';
  assert.deepEqual(explained('DUPLICATE_ID', { id: 'y' }), ['line 4: fact', remedy, { id: 'y', line: 4 }]);
  assert.deepEqual(explained('DUPLICATE_ID', { id: 'x' }), [
    'line 3: the id "x" is already on line 1',
    remedy,
    { id: 'x', line: 3 },
  ]);
  assert.deepEqual(explained('STORAGE', {}), ['fact', 'Remedy.', {}]);
});
