/** A clock that jumps, or that differs from one process to the next: no job is lost or run twice, and nothing spins. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pidExists } from '../../utils/processIdentity.js';
import { aboutFiles, storeTest, type TestStore } from '../integration/support.js';
import { assertDone, type Ended, each, eventually, missing, queuectl, run } from './run.js';
import { fill } from './scenarios.js';

const faketimeMissing = missing('faketime', '-m', '-f', '+0', 'true');
/** Files keep their true times, so to a process with another clock every lock seems to be old: this is as bad as it gets. */
const LIBRARY = faketimeMissing
  ? ''
  : execFileSync('faketime', ['-m', '-f', '+0', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' }).trim();

/** A clock for the processes that are started with its environment; it can be set while they run. */
class Clock {
  private readonly file: string;

  constructor(store: TestStore, offset: string) {
    this.file = join(store.root, `clock${offset}`);
    this.set(offset);
  }

  /** @param offset as faketime has it: `+1d` is tomorrow */
  set(offset: string): void {
    fs.writeFileSync(`${this.file}.new`, offset);
    fs.renameSync(`${this.file}.new`, this.file);
  }

  get env() {
    return {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1', // as no setting of the clock changes that
    };
  }

  queuectl(store: TestStore, ...args: string[]): Promise<Ended> {
    return run(queuectl(...args), { directory: store.directory, env: { ...store.env, ...this.env }, cwd: store.root });
  }

  /** Tries again as long as others, by whose clocks a lock is old, take it away; nothing has changed then, or its id would be taken. */
  async enqueue(store: TestStore, id: string): Promise<void> {
    let ended: Ended;
    do ended = await this.queuectl(store, 'enqueue', '--id', id, NOTE);
    while (LOST_THE_LOCK.test(ended.stderr));
    assertDone(ended, id);
  }
}

/** What a command says that others have taken its lock from too often, as they may when clocks differ. */
const LOST_THE_LOCK = /^queuectl: the lock of \S+ was lost 5 times in a row\. Nothing was changed\./;
const SHARED_MEMORY = '/dev/shm';
const COUNT = 150;
const NOTE = 'echo $QUEUECTL_JOB_ID >> runs';
const jobs = () => Array.from({ length: COUNT }, (_, at) => ({ id: `job-${at}`, command: NOTE }));

/** libfaketime leaves shared memory behind that is named after its process. */
after(() => {
  if (faketimeMissing) return;
  for (const name of fs.readdirSync(SHARED_MEMORY)) {
    const pid = /^(?:sem\.)?faketime_s(?:em|hm)_(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !pidExists(Number(pid))) fs.rmSync(join(SHARED_MEMORY, name), { force: true });
  }
});

describe('a clock', { concurrency: 3, skip: faketimeMissing }, () => {
  storeTest('that is set forward by a day: what was to run until then runs now, and each job once', async (store) => {
    const clock = new Clock(store, '+0');
    await store.enqueue(...jobs());
    await store.ok('enqueue', '--id', 'delayed', '--delay', '3600', NOTE);
    await store.ok('enqueue', '--id', 'fails', '--max-retries', '1', `${NOTE}; false`);
    assertDone(await clock.queuectl(store, 'worker-start', '--count', '2'), 'worker-start');
    await eventually(() => store.lines('runs').length > COUNT / 5);
    clock.set('+1d');
    await eventually(() => store.completed() === COUNT + 1);
    await eventually(() => store.dead().length === 1);
    await assertIdle(store);
    await store.ok('worker-stop');
    assert.deepEqual(runs(store), [...jobs().map(({ id }) => id), 'delayed', 'fails', 'fails'].sort());
  });

  storeTest(
    'that is set back by a day: new jobs run, the others when it is right again, and each once',
    async (store) => {
      const clock = new Clock(store, '+0');
      await store.enqueue(...jobs());
      assertDone(await clock.queuectl(store, 'worker-start', '--count', '2'), 'worker-start');
      await eventually(() => store.lines('runs').length > COUNT / 5);
      clock.set('-1d');
      await clock.enqueue(store, 'new');
      await eventually(() => store.lines('runs').includes('new'));
      await eventually(() => store.queue().some(({ id, state }) => id === 'new' && state === 'completed'));
      await assertIdle(store);
      clock.set('+0');
      await eventually(() => store.completed() === COUNT + 1);
      await assertIdle(store);
      await store.ok('worker-stop');
      assert.deepEqual(runs(store), [...jobs().map(({ id }) => id), 'new'].sort());
    },
  );

  storeTest('that differs between commands and workers: no job is lost, and each is run once', async (store) => {
    const clocks = [new Clock(store, '+1d'), new Clock(store, '-1d'), new Clock(store, '+0')];
    await store.enqueue(...jobs());
    await store.startWorkers('--count', '2');
    const ids = Array.from({ length: 24 }, (_, at) => `other-${at}`);
    await each([...ids.entries()], 3, async ([at, id]) => {
      const clock = clocks[at % clocks.length];
      assert.ok(clock !== undefined);
      await clock.enqueue(store, id);
      if (at % 4 === 0) assertDone(await clock.queuectl(store, 'status'), 'status');
    });
    const isAhead = (_id: string, at: number) => at % clocks.length === 0;
    const ahead = ids.filter(isAhead);
    await eventually(() => store.completed() === COUNT + ids.length - ahead.length);
    await assertIdle(store);
    await store.ok('worker-stop');
    assert.deepEqual(runs(store), [...jobs().map(({ id }) => id), ...ids.filter((id) => !ahead.includes(id))].sort());
    assert.deepEqual(
      store
        .queue()
        .filter(({ state }) => state === 'pending')
        .map(({ id }) => id)
        .sort(),
      ahead.sort(),
    );
  });

  for (const offset of ['+1d', '-1d', '+2s']) {
    storeTest(
      `that has been set by ${offset} since a process died with the lock: the lock is not stuck`,
      async (store) => {
        await fill(store.directory);
        const lock = join(store.dataDir, 'lock/store');
        fs.linkSync(`${lock}.file`, lock); // as a process has it that died before it signed it
        const ended = await new Clock(store, offset).queuectl(store, 'enqueue', 'true');
        assertDone(ended, offset);
        assert.ok(ended.ms < 8000, `${ended.ms} ms`);
      },
      aboutFiles, // the system ends the locks of SQLite with their holder
    );
  }
});

const runs = (store: TestStore) => store.lines('runs').sort();

const WATCHED_MS = 1500;
const IDLE_SHARE = 0.04;
const TICKS_A_SECOND = 100;

/** Fails when a worker or supervisor uses the processor though there is nothing to do. */
async function assertIdle(store: TestStore): Promise<void> {
  const pids = [...store.records('worker'), ...store.records('supervisor')].map(({ pid }) => pid);
  let used: number[] = [];
  // At first the compiler's threads may have something left to do, for long on a busy machine.
  for (let tries = 0; tries < 10; tries++) {
    const before = pids.map(ticksOf);
    await delay(WATCHED_MS); // the time over which it is measured
    used = pids.map((pid, at) => ticksOf(pid) - (before[at] ?? 0));
    if (Math.max(...used) < (IDLE_SHARE * TICKS_A_SECOND * WATCHED_MS) / 1000) return;
  }
  assert.fail(`${pids} used ${used} ticks in ${WATCHED_MS} ms`);
}

/** The processor time of a process. */
function ticksOf(pid: number): number {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
