import assert from 'node:assert/strict';
import fs from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { findStray, outputFile, outputsOf } from '../../../core/run/outputs.js';
import { T0 } from '../../helpers/jobFactory.js';
import { tempStore } from '../../helpers/tempStore.js';

const ODD_IDS = ['../../etc/passwd', '..', '.', 'a/b', 'a:b', 'ä', `${'x'.repeat(100)}1`, `${'x'.repeat(100)}2`];

test('each attempt of each job has a file of its own in the directory', () => {
  const logs = join(tempStore(), 'logs');
  assert.equal(outputFile(logs, 'job-1.a_b', 1), `${logs}/job-1.a_b~1.log`);
  assert.equal(fs.statSync(logs).mode & 0o777, 0o700);
  const ids = [...ODD_IDS, '~', 'A', 'a', 'a~1', 'a~1~1'];
  const files = ids.flatMap((id) => [1, 2, 11].map((attempt) => outputFile(logs, id, attempt)));
  assert.equal(new Set(files).size, 3 * ids.length);
  for (const file of files) assert.match(file.slice(logs.length), /^\/[\w~][\w.-]*~\d+\.log$/);
});

/** Makes files, each last written to a number of milliseconds after T0. */
function newLogs(files: Readonly<Record<string, number>>): string {
  const logs = tempStore();
  for (const [name, after] of Object.entries(files)) {
    fs.writeFileSync(join(logs, name), name);
    fs.utimesSync(join(logs, name), T0 / 1000, (T0 + after) / 1000);
  }
  return logs;
}

const cases: [what: string, files: Readonly<Record<string, number>>, attempts: number, shown: string[]][] = [
  ['none', {}, 3, []],
  [
    'in the order of the attempts',
    { 'a~2.log': 5, 'a~10.log': 6, 'a~1.log': 9 },
    10,
    ['a~1.log', 'a~2.log', 'a~10.log'],
  ],
  ['of version 0.1.0 first', { 'a.log': 5, 'a~3.log': 5 }, 3, ['a.log', 'a~3.log']],
  ['not of another job', { 'b~1.log': 5, 'a~1~1.log': 5, 'a~01.log': 5 }, 1, []],
  ['not before the first attempt', { 'a.log': 5, 'a~1.log': 5 }, 0, []],
  ['not of an attempt that has not begun', { 'a~1.log': 5, 'a~2.log': 5 }, 1, ['a~1.log']],
  ['not of a job that had the id before', { 'a.log': -100, 'a~1.log': -100, 'a~2.log': 100 }, 2, ['a~2.log']],
  ['though the times of files lag behind the clock', { 'a~1.log': -10 }, 1, ['a~1.log']],
];
for (const [what, files, attempts, shown] of cases) {
  test(`the outputs of a job are shown: ${what}`, () => {
    const found = outputsOf(newLogs(files), { id: 'a', attempts, since: T0 });
    assert.deepEqual(
      found.map((file) => basename(file)),
      shown,
    );
  });
}

test('where there are no logs there are no outputs, whatever a record says', () => {
  const logs = join(tempStore(), 'missing');
  assert.deepEqual(outputsOf(logs, { id: 'a', attempts: Number.MAX_SAFE_INTEGER, since: T0 }), []);
  assert.equal(fs.existsSync(logs), false);
});

test('stray outputs are those of no job, and nothing else', () => {
  const ids = [...ODD_IDS, 'a', 'b.log'];
  const ofJobs = ids.flatMap((id) => [1, 20].map((attempt) => basename(outputFile(tempStore(), id, attempt))));
  const old = ['a.log', 'b.log.log', ofJobs[0]?.replace('~1.log', '.log') ?? ''];
  const stray = ['c.log', 'c~1.log', 'a~1~1.log', 'a~0.log', `~${'0'.repeat(32)}~1.log`];
  assert.deepEqual(findStray([...stray, ...ofJobs, ...old, 'notes.txt'], ids), {
    stray,
    count: stray.length + ofJobs.length + old.length,
  });
});
