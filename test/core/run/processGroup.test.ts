import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { endGroup, groupExists } from '../../../core/run/processGroup.js';
import { lookUp } from '../../../utils/processIdentity.js';
import { waitFor } from '../../helpers/waitFor.js';

const TOO_LONG_MS = 20_000;

/** Starts a shell script as the leader of a new group, and waits until it has printed a line. */
async function startGroup(
  t: TestContext,
  script: string,
): Promise<{ leader: ChildProcess; pgid: number; line: string }> {
  const leader = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const pgid = leader.pid;
  assert.ok(pgid !== undefined);
  t.after(async () => {
    await endGroup(pgid, 0);
    assert.equal(groupExists(pgid), false);
  });
  const [line] = await once(leader.stdout, 'data');
  return { leader, pgid, line: String(line).trim() };
}

const isGone = (pid: number) => lookUp(pid)?.isZombie !== false;

test('a group exists until its last member has ended', async (t) => {
  const { leader, pgid, line } = await startGroup(t, 'sleep 60 & echo $!');
  await once(leader, 'exit');
  assert.equal(groupExists(pgid), true);
  process.kill(Number(line), 'SIGKILL');
  await waitFor(() => !groupExists(pgid));
});

test('SIGTERM reaches the whole group', async (t) => {
  const { leader, pgid, line } = await startGroup(t, 'sleep 60 & echo $!; wait');
  await endGroup(pgid, TOO_LONG_MS);
  assert.equal(groupExists(pgid), false);
  assert.equal(isGone(Number(line)), true);
  if (leader.signalCode === null) await once(leader, 'exit');
  assert.equal(leader.signalCode, 'SIGTERM');
});

test('a member may use the grace period', async (t) => {
  const { leader, pgid } = await startGroup(t, 'trap "exit 7" TERM; echo ready; while :; do sleep 0.01; done');
  await endGroup(pgid, TOO_LONG_MS);
  if (leader.exitCode === null) await once(leader, 'exit');
  assert.equal(leader.exitCode, 7);
});

test('what ignores SIGTERM is killed after the grace period', async (t) => {
  const { pgid, line } = await startGroup(t, 'trap "" TERM; sleep 60 & echo $!; wait');
  const begin = performance.now();
  await endGroup(pgid, 200);
  const tookMs = performance.now() - begin;
  assert.ok(tookMs >= 200 && tookMs < 10_000, `${tookMs} ms`);
  assert.equal(isGone(Number(line)), true);
});

test('a stopped group sees the SIGTERM', async (t) => {
  const { leader, pgid } = await startGroup(t, 'trap "exit 7" TERM; echo ready; while :; do sleep 0.01; done');
  process.kill(-pgid, 'SIGSTOP');
  await endGroup(pgid, TOO_LONG_MS);
  if (leader.exitCode === null) await once(leader, 'exit');
  assert.equal(leader.exitCode, 7);
});

test('with no grace there is no SIGTERM', async (t) => {
  const { leader, pgid } = await startGroup(t, 'trap "exit 7" TERM; echo ready; while :; do sleep 0.01; done');
  await endGroup(pgid, 0);
  if (leader.signalCode === null) await once(leader, 'exit');
  assert.equal(leader.signalCode, 'SIGKILL');
});

test('a group of zombies is gone', { skip: process.platform !== 'linux' }, async (t) => {
  // The leader's parent becomes a program that never waits for it.
  const { line } = await startGroup(t, 'setsid sh -c "kill -KILL \\$\\$" & echo $!; exec sleep 60');
  const pgid = Number(line);
  await waitFor(() => lookUp(pgid)?.isZombie);
  assert.equal(lookUp(pgid)?.pgid, pgid, 'it led a group of its own');
  assert.equal(groupExists(pgid), false);
  await endGroup(pgid, TOO_LONG_MS);
});

test('a group that does not exist has ended', async () => {
  const child = spawn('true', { detached: true });
  await once(child, 'exit');
  assert.ok(child.pid !== undefined);
  assert.equal(groupExists(child.pid), false);
  await endGroup(child.pid, TOO_LONG_MS);
});

for (const pgid of [0, 1, -1, -2, 1.5, Number.NaN, lookUp(process.pid)?.pgid ?? 0]) {
  test(`group ${pgid} is never signalled`, async () => {
    await assert.rejects(endGroup(pgid, 0), RangeError);
  });
}
