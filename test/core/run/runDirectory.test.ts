import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { clearGroupNote } from '../../../core/run/groupNote.js';
import { RunDirectory } from '../../../core/run/runDirectory.js';
import { here } from '../../../utils/processIdentity.js';
import { writeGroupNote } from '../../helpers/groupNote.js';
import { T0 } from '../../helpers/jobFactory.js';
import { tempStore } from '../../helpers/tempStore.js';

function newDirectory(): { run: RunDirectory; names: () => string[] } {
  const path = join(tempStore(), 'state');
  return { run: new RunDirectory(path), names: () => fs.readdirSync(join(path, 'workers')).sort() };
}

test('a worker may start commands from when it has entered until it is condemned', () => {
  const { run, names } = newDirectory();
  assert.equal(run.hasEntered('w1'), false);
  assert.deepEqual(run.workers(), []);
  run.enter('w1');
  assert.equal(run.hasEntered('w1'), true);
  assert.equal(fs.statSync(run.guard('w1')).mode & 0o777, 0o600);
  assert.equal(fs.statSync(run.path).mode & 0o777, 0o700);
  run.condemn('w1');
  run.condemn('w1');
  assert.equal(run.hasEntered('w1'), false);
  assert.deepEqual(names(), ['w1.condemned']);
  assert.deepEqual(run.workers(), ['w1'], 'that is a trace of it, too');
  run.forget('w1');
  assert.deepEqual(names(), []);
});

test('a guard that cannot be looked at is not taken for one that is gone: the worker would end its commands', () => {
  const { run } = newDirectory();
  run.enter('w1');
  const workers = join(run.path, 'workers');
  fs.renameSync(workers, `${workers}.away`);
  fs.symlinkSync(workers, workers); // a link to itself, which keeps even root out
  assert.throws(() => run.hasEntered('w1'), { code: 'STORAGE', data: { errno: 'ELOOP', path: run.guard('w1') } });
  fs.rmSync(workers);
  assert.equal(run.hasEntered('w1'), false);
  fs.renameSync(`${workers}.away`, workers);
  assert.equal(run.hasEntered('w1'), true);
});

test('where a worker runs is known from when it has entered until it is forgotten', () => {
  const { run } = newDirectory();
  assert.equal(run.placeOf('w1'), undefined);
  run.enter('w1');
  const { boot_id, host, pid_namespace } = here;
  const place = pid_namespace === undefined ? { boot_id, host } : { boot_id, host, pid_namespace };
  assert.deepEqual(run.placeOf('w1'), place);
  run.condemn('w1');
  assert.deepEqual(run.placeOf('w1'), place);
  run.forget('w1');
  assert.equal(run.placeOf('w1'), undefined);
  run.enter('w1');
  fs.truncateSync(run.guard('w1'), 5);
  assert.equal(run.placeOf('w1'), undefined, 'half of it says nothing');
});

test('the groups of a worker are those noted for it and for no other; they outlive its guard, and are forgotten with it', () => {
  const { run, names } = newDirectory();
  assert.deepEqual(run.listGroups('w1'), []);
  for (const id of ['w1', 'w10']) run.enter(id);
  writeGroupNote(run.groupNote('w1', 1), { pgid: 4711, startTime: '12345' });
  writeGroupNote(run.groupNote('w1', 2), { pgid: 4712, startTime: '' });
  writeGroupNote(run.groupNote('w1', 3), { pgid: 4714, startTime: '' });
  clearGroupNote(run.groupNote('w1', 3));
  writeGroupNote(run.groupNote('w10', 1), { pgid: 4713, startTime: '1' });
  for (const name of ['w1.json', 'w1.json.7-1.tmp', 'w2.json', 'workers.log'])
    fs.writeFileSync(join(run.path, 'workers', name), '{');
  run.condemn('w1');
  const byPgid = (a: { pgid: number }, b: { pgid: number }) => a.pgid - b.pgid;
  assert.deepEqual(run.listGroups('w1').sort(byPgid), [
    { pgid: 4711, startTime: '12345' },
    { pgid: 4712, startTime: '' },
  ]);
  assert.deepEqual(run.workers().sort(), ['w1', 'w10'], 'a note is a trace of it, a record is not');
  run.forget('w1');
  assert.deepEqual(run.listGroups('w1'), []);
  assert.deepEqual(run.listGroups('w10'), [{ pgid: 4713, startTime: '1' }]);
  assert.deepEqual(run.workers(), ['w10']);
  assert.deepEqual(names(), ['w1.json', 'w1.json.7-1.tmp', 'w10.1', 'w10.guard', 'w2.json', 'workers.log']);
});

test('what cannot be written is told in words', () => {
  const path = join(tempStore(), 'state');
  fs.writeFileSync(path, '');
  const run = new RunDirectory(path);
  const told = (file: string) => ({ code: 'STORAGE', fact: `cannot write ${file}: not a directory` });
  assert.throws(() => run.enter('w1'), told(`${path}/workers/w1.guard`));
  assert.throws(() => run.openWorkersLog(), told(`${path}/workers/workers.log`));
});

test('files are put away to a directory of the moment', () => {
  const { run } = newDirectory();
  assert.equal(run.hasPutAwayBut('logs'), false);
  run.enter('w1');
  fs.closeSync(run.openWorkersLog());
  const away = run.putAway([run.workersLog], T0, 'logs');
  assert.equal(away, `${run.replaced}/2023-11-14T221320.000Z/logs`);
  assert.deepEqual(fs.readdirSync(away), ['workers.log']);
  assert.equal(run.hasPutAwayBut('logs'), false);
  run.putAway([run.guard('w1')], T0 + 1);
  assert.equal(run.hasPutAwayBut('logs'), true);
  assert.equal(run.hasEntered('w1'), false);
});

test('the log of the workers is cut when it has grown long, and what it ended with is kept once', async () => {
  const { run, names } = newDirectory();
  const log = run.openWorkersLog();
  const former = `${run.workersLog}.1`;
  fs.writeSync(log, 'short\n');
  await run.trimWorkersLog();
  assert.equal(fs.readFileSync(run.workersLog, 'utf8'), 'short\n');
  for (const letter of ['a', 'b']) {
    fs.writeSync(log, `${letter.repeat(1_500_000)}\n`);
    if (letter === 'b') {
      fs.rmSync(former);
      execFileSync('mkfifo', [former]); // whatever is there
    }
    await Promise.all([run.trimWorkersLog(), run.trimWorkersLog()]);
    fs.writeSync(log, 'next\n');
    assert.equal(fs.readFileSync(run.workersLog, 'utf8'), 'next\n');
    assert.equal(fs.readFileSync(former, 'utf8'), `${letter.repeat(999_999)}\n`);
    assert.equal(fs.statSync(former).mode & 0o777, 0o600);
  }
  fs.closeSync(log);
  assert.deepEqual(names(), ['workers.log', 'workers.log.1']);
  assert.deepEqual(run.workers(), []);
});

test('where the log of the workers cannot be cut, it stays as it is', async () => {
  const { run, names } = newDirectory();
  fs.closeSync(run.openWorkersLog());
  fs.mkdirSync(`${run.workersLog}.1`);
  fs.writeFileSync(run.workersLog, 'a'.repeat(2_000_000));
  await run.trimWorkersLog();
  assert.equal(fs.statSync(run.workersLog).size, 2_000_000);
  assert.deepEqual(names(), ['workers.log', 'workers.log.1']);
  fs.rmSync(run.workersLog);
  fs.symlinkSync(`${run.path}/victim`, run.workersLog);
  fs.writeFileSync(`${run.path}/victim`, 'a'.repeat(2_000_000));
  await run.trimWorkersLog();
  assert.equal(fs.statSync(`${run.path}/victim`).size, 2_000_000);
});
