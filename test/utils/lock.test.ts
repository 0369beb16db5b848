import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { delay } from '../../utils/delay.js';
import { type HeldLock, LockLostError, lock } from '../../utils/lock.js';
import { onFsCall } from '../db/stores/file/fsCalls.js';
import { assertWithin } from '../helpers/assertWithin.js';
import { tempStore } from '../helpers/tempStore.js';
import { waitFor } from '../helpers/waitFor.js';
import { makeZombie } from '../helpers/zombie.js';

const onLinuxOnly = { skip: process.platform !== 'linux' };

const newPath = () => join(tempStore(), 'lock');

test('one holder at a time: the next gets the lock when it is unlocked', async () => {
  const path = newPath();
  const first = await lock(path);
  assert.ok(first.isMine());
  assert.equal(fs.statSync(path).mode & 0o777, 0o600);
  let isUnlocked = false;
  let tries = 0;
  const end = onFsCall(({ name }) => {
    if (name === 'linkSync') tries += 1;
    return undefined;
  });
  const second = lock(path).then((held) => {
    assert.ok(isUnlocked);
    return held;
  });
  await waitFor(() => tries > 5);
  end();
  isUnlocked = true;
  first.unlock();
  const held = await second;
  assert.ok(held.isMine());
  held.unlock();
  assert.equal(fs.existsSync(path), false);
});

/** Makes a lock that some process has held for so long, as far as anybody can tell. */
function leaveLock(t: TestContext, path: string, pid: number, ageMs: number): void {
  fs.writeFileSync(path, '');
  fs.utimesSync(path, 0, pid + 0.5);
  const now = Date.now.bind(Date);
  t.mock.method(Date, 'now', () => now() + ageMs);
}

const NOBODY = 2 ** 30;
const LEFT: [what: string, pid: number, ageMs: number][] = [
  ['left by a process that died', NOBODY, 4000],
  ['left by a process that is stopped', process.pid, 11_000],
  ['left before the clock was set back', NOBODY, -60_000],
];
for (const [what, pid, ageMs] of LEFT) {
  test(`a lock ${what} is taken over`, async (t) => {
    const path = newPath();
    leaveLock(t, path, pid, ageMs);
    const held = await lock(path);
    assert.ok(held.isMine());
    held.unlock();
    assert.equal(fs.existsSync(path), false);
  });
}

test('a lock left by a zombie is taken over as early as that of any dead process', onLinuxOnly, async (t) => {
  const pid = await makeZombie(t);
  const path = newPath();
  leaveLock(t, path, pid, 4000);
  const began = performance.now();
  const held = await lock(path);
  await assertWithin(performance.now() - began, 3000, 'the lock of a zombie');
  held.unlock();
});

test('a lock of a process that is alive and busy is not', async (t) => {
  const path = newPath();
  leaveLock(t, path, process.pid, 7000);
  let tries = 0;
  const end = onFsCall(({ name }) => {
    if (name === 'linkSync' && tries++ === 5) fs.unlinkSync(path);
    return undefined;
  });
  const held = await lock(path);
  end();
  assert.equal(tries, 6);
  held.unlock();
});

test('a holder that works for seconds says so, and not oftener than once a second', async (t) => {
  const path = newPath();
  const held = await lock(path);
  const { ctimeNs } = fs.statSync(path, { bigint: true });
  held.renew();
  assert.equal(fs.statSync(path, { bigint: true }).ctimeNs, ctimeNs);
  secondsLater(t);
  held.renew();
  assert.ok(fs.statSync(path, { bigint: true }).ctimeNs > ctimeNs);
  assert.ok(held.isMine());
  held.unlock();
});

function secondsLater(t: TestContext): void {
  const [seconds, nanoseconds] = process.hrtime();
  t.mock.method(process, 'hrtime', () => [seconds + 2, nanoseconds]);
}

test('a holder whose lock was taken over knows, and leaves the new one alone', async (t) => {
  const path = newPath();
  const held = await lock(path);
  assert.ok(held.isMine());
  secondsLater(t);
  fs.unlinkSync(path);
  assert.equal(held.isMine(), false);
  fs.writeFileSync(path, '');
  assert.equal(held.isMine(), false);
  assert.throws(() => held.renew(), LockLostError);
  held.unlock();
  assert.ok(fs.existsSync(path));
});

test('who was stopped while it got the lock takes it from who has it by then', async () => {
  const path = newPath();
  let other: HeldLock | undefined;
  const end = onFsCall(({ name }) => {
    if (name !== 'lutimesSync' || other !== undefined) return undefined;
    end();
    fs.unlinkSync(path);
    void lock(path).then((held) => {
      other = held;
    });
    return undefined;
  });
  const held = await lock(path);
  assert.ok(held.isMine());
  assert.equal((await waitFor(() => other)).isMine(), false);
  held.unlock();
  assert.equal(fs.existsSync(path), false);
});

test('a holder that goes about other things meanwhile keeps the lock, and says so', async () => {
  const path = newPath();
  const held = await lock(path);
  const { ctimeNs } = fs.statSync(path, { bigint: true });
  await waitFor(() => fs.statSync(path, { bigint: true }).ctimeNs > ctimeNs);
  assert.ok(held.isMine());
  held.unlock();
  assert.equal(fs.existsSync(path), false);
});

test('a lock that nobody has taken is not lost, however long it was held', async (t) => {
  const path = newPath();
  const held = await lock(path);
  const now = Date.now();
  t.mock.method(Date, 'now', () => now + 100_000);
  held.renew();
  assert.ok(held.isMine());
  const other = await lock(path);
  assert.equal(held.isMine(), false);
  assert.throws(() => held.renew(), LockLostError);
  assert.ok(other.isMine());
  other.unlock();
});

test('of many that wait, who has waited longest gets the lock', async () => {
  const path = newPath();
  const first = await lock(path);
  const order: number[] = [];
  const waiters: Promise<void>[] = [];
  for (const number of [1, 2, 3, 4, 5]) {
    waiters.push(
      lock(path).then(async (held) => {
        order.push(number);
        await delay(100); // so long that each of the others looks
        held.unlock();
      }),
    );
    await delay(60);
  }
  first.unlock();
  await Promise.all(waiters);
  assert.deepEqual(order, [1, 2, 3, 4, 5]);
});

test('who waits in vain gives up when one holder has kept the lock for a minute, not when many had it', async (t) => {
  const path = newPath();
  fs.writeFileSync(path, '');
  let seconds = 0;
  t.mock.method(process, 'hrtime', () => {
    seconds += 1;
    return [seconds, 0];
  });
  let looks = 0;
  const end = onFsCall(({ name, args }) => {
    if (name !== 'linkSync' || args[1] !== path) return undefined;
    looks += 1;
    if (looks < 100) fs.utimesSync(path, looks, 1e6 + looks); // another process has it by now
    return undefined;
  });
  await assert.rejects(lock(path), { code: 'BUSY' });
  end();
  assert.ok(looks > 100, `it gave up after ${looks} looks`);
});

test('a lock that vanishes while it is taken is tried for again', async () => {
  const path = newPath();
  let vanished = 0;
  const end = onFsCall(({ name }) => {
    if (name === 'lutimesSync' && vanished++ === 0) fs.unlinkSync(path);
    return undefined;
  });
  try {
    const held = await lock(path);
    assert.ok(held.isMine());
    held.unlock();
  } finally {
    end();
  }
  assert.equal(vanished, 2);
});

test('it gives up after a minute', async (t) => {
  const path = newPath();
  fs.writeFileSync(path, '');
  let now = 0;
  t.mock.method(process, 'hrtime', () => {
    now += 20;
    return [now, 0];
  });
  await assert.rejects(lock(path), { code: 'BUSY', fact: 'the store has been locked for 60 seconds' });
});

test('a permanent error is not waited out', async () => {
  const path = newPath();
  await assert.rejects(lock(join(path, 'under', 'nothing')), { code: 'ENOENT' });
  fs.writeFileSync(path, '');
  await assert.rejects(lock(join(path, 'under a file')), { code: 'ENOTDIR' });
});

test('a holder that was stopped while it renewed the lock does not trust it', async (t) => {
  const path = newPath();
  const held = await lock(path);
  secondsLater(t);
  const end = onFsCall(({ name }) => {
    if (name === 'lutimesSync') {
      end();
      t.mock.method(Date, 'now', () => 8e15); // it wakes long after
    }
    return undefined;
  });
  assert.throws(() => held.renew(), LockLostError);
  assert.equal(held.isMine(), false);
  held.unlock();
  assert.ok(fs.existsSync(path), 'it may be the lock of another by now');
});

test('a lock that is taken away while it is renewed is lost', async (t) => {
  const path = newPath();
  const held = await lock(path);
  secondsLater(t);
  const end = onFsCall(({ name }) => {
    if (name === 'lutimesSync') fs.rmSync(path);
    return undefined;
  });
  try {
    assert.throws(() => held.renew(), LockLostError);
  } finally {
    end();
  }
});

test('of two that sign the same lock only the last one holds it', async () => {
  const path = newPath();
  let signed = false;
  const end = onFsCall(({ name, args }) => {
    if (name === 'lutimesSync') signed = true;
    if (name === 'statSync' && args[0] === path && signed) {
      fs.utimesSync(path, 1, 1); // who took it for stale signs it after us
      end();
    }
    return undefined;
  });
  const first = await lock(path);
  assert.equal(first.isMine(), false);
});

test('who reads the file of the lock does not take it away', async () => {
  const path = newPath();
  const held = await lock(path);
  const { mtimeMs } = fs.statSync(path);
  fs.readFileSync(`${path}.file`);
  assert.equal(fs.statSync(path).mtimeMs, mtimeMs);
  assert.ok(held.isMine());
  held.unlock();
});
