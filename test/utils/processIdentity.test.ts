import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  currentIdentity,
  here,
  lookUp,
  lookUpWithPs,
  namespaceIsGone,
  type ProcessIdentity,
  processRuns,
  startTimeOf,
} from '../../utils/processIdentity.js';
import { tempStore } from '../helpers/tempStore.js';
import { makeZombie } from '../helpers/zombie.js';

const hasProc = process.platform === 'linux';

function pidOf(child: ChildProcess): number {
  assert.ok(child.pid !== undefined);
  return child.pid;
}

test('a process knows itself', () => {
  const self = currentIdentity();
  assert.equal(self.pid, process.pid);
  assert.match(self.start_time, /./);
  assert.match(self.boot_id, /./);
  assert.ok(self.host?.startsWith(hostname()), self.host);
  assert.ok((self.host?.length ?? 0) <= hostname().length + 9, 'it gives no whole id of a machine away');
  assert.equal(startTimeOf(process.pid), self.start_time);
  assert.equal(processRuns(self), true);
});

const others: [what: string, change: Partial<ProcessIdentity>][] = [
  ['a later process with the same pid', { start_time: '1' }],
  ['no process: pid 0', { pid: 0 }],
  ['no process: a group', { pid: -process.pid }],
  ['no process: half a pid', { pid: 1.5 }],
];
for (const [what, change] of others) {
  test(`not alive: ${what}`, () => {
    assert.equal(processRuns({ ...currentIdentity(), ...change }), false);
  });
}

test('a process that has ended is not alive and has no start time', async () => {
  const child = spawn('sleep', ['60']);
  const pid = pidOf(child);
  const start_time = startTimeOf(pid) ?? '';
  const identity = { ...currentIdentity(), pid, start_time };
  assert.equal(processRuns(identity), true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(processRuns(identity), false);
  assert.equal(startTimeOf(pid), undefined);
});

test('a zombie is not alive', async (t) => {
  const pid = await makeZombie(t);
  assert.equal(processRuns({ ...currentIdentity(), pid, start_time: startTimeOf(pid) ?? '' }), false);
  assert.equal(process.kill(pid, 0), true, 'the zombie is still there');
});

test('a name with spaces, parentheses and a newline does not confuse', { skip: !hasProc }, (t) => {
  const program = join(tempStore(), ') R 7\n(x');
  copyFileSync('/bin/sleep', program);
  const child = spawn(program, ['60'], { detached: true });
  t.after(() => child.kill('SIGKILL'));
  const facts = lookUp(pidOf(child));
  assert.equal(facts?.pgid, child.pid);
  assert.equal(facts?.isZombie, false);
  assert.ok(Number(facts?.startTime) >= Number(startTimeOf(process.pid)));
});

test("another user's process can be seen", () => {
  assert.ok(startTimeOf(1) !== undefined);
  assert.equal(processRuns({ ...currentIdentity(), pid: 1, start_time: startTimeOf(1) ?? '' }), true);
});

test('ps tells the same as /proc', { skip: spawnSync('ps').error !== undefined }, async (t) => {
  const child = spawn('sleep', ['60'], { detached: true });
  t.after(() => child.kill('SIGKILL'));
  const facts = lookUpWithPs(pidOf(child));
  assert.equal(facts?.pgid, child.pid);
  assert.equal(facts?.isZombie, false);
  assert.ok(Math.abs(Date.parse(`${facts?.startTime} UTC`) - Date.now()) < 60_000, facts?.startTime);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(lookUpWithPs(pidOf(child)), undefined);
});

const FIRST_NAMESPACE = 'pid:[4026531836]';

test('a pid namespace is gone for certain when all can be seen from here, and nobody is in it', {
  skip: !hasProc,
}, () => {
  const own = here.pid_namespace ?? '';
  assert.equal(namespaceIsGone('pid:[1]'), own === FIRST_NAMESPACE);
  assert.equal(namespaceIsGone(own), false);
  assert.equal(namespaceIsGone(own, FIRST_NAMESPACE), false);
  assert.equal(namespaceIsGone('pid:[1]', 'pid:[2]'), false);
});
