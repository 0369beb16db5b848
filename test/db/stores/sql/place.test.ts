/** What lies under the name of a database, whoever is killed while it gets there, and whoever looks in between. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { before } from 'node:test';
import { checkDatabase } from '../../../../db/stores/sql/checkup.js';
import { Database } from '../../../../db/stores/sql/database.js';
import { sqlitePaths } from '../../../../db/stores/sql/paths.js';
import { salvage } from '../../../../db/stores/sql/salvage.js';
import { QueuectlError } from '../../../../utils/errors.js';
import { bundleHere } from '../../../helpers/bundle.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { describe, test } from '../../../helpers/sqliteTest.js';
import type { TestStore } from '../../../helpers/testStore.js';
import { sqliteStore, tempDatabase } from './support.js';

const idsOf = async (store: TestStore) => (await store.jobs.listJobs()).map(({ id }) => id).sort();

async function idsAt(path: string): Promise<string[]> {
  const store = sqliteStore(path);
  try {
    return await idsOf(store);
  } finally {
    await store.close();
  }
}

/** Lets `doctor --fix` at it. @returns the facts that were wrong */
async function mend(path: string, now = T0): Promise<string[]> {
  const database = new Database(sqlitePaths(path), 'command');
  const facts: string[] = [];
  for await (const check of checkDatabase(database, () => now)) {
    if (check.state === 'ok') continue;
    facts.push(check.fact);
    await check.repair?.();
  }
  await database.close();
  return facts;
}

/** A journal that nobody has written into the database, as a kill leaves it. */
async function withJournal(): Promise<string> {
  const source = tempDatabase();
  const store = sqliteStore(source);
  for (const id of ['a', 'b', 'c']) await store.jobs.createJob(pendingJob({ id }));
  const path = tempDatabase();
  for (const end of ['', '-wal']) fs.copyFileSync(source + end, path + end);
  await store.close();
  return path;
}

describe('a repair while another process has asked which file has the name, and not begun yet', () => {
  /**
   * Does something that a repair tries to overtake after one of its looks, the first if none is given. By the last one it
   * has begun, and the repair may not.
   */
  async function raced<T>(path: string, use: () => Promise<T>, look = 1): Promise<T> {
    const { lstatSync } = fs;
    let looks = 0;
    Object.assign(fs, {
      lstatSync: (...args: Parameters<typeof lstatSync>) => {
        const stat = lstatSync(...args);
        if (args[0] !== path || ++looks !== look) return stat;
        try {
          salvage(sqlitePaths(path), `${path}-state/replaced/x`);
        } catch (error) {
          if (!(error instanceof QueuectlError) || error.code !== 'BUSY') throw error;
        }
        return stat;
      },
    });
    try {
      return await use();
    } finally {
      Object.assign(fs, { lstatSync });
      assert.ok(looks >= look);
    }
  }

  for (const [isOpen, look] of [
    [true, 1],
    [true, 2],
    [false, 1],
    [false, 2],
    [false, 3],
  ] as const) {
    const what = `a database that it ${isOpen ? 'has open' : 'opens'}`;
    test(`loses nothing of what is committed to ${what}, at its look ${look}`, async () => {
      const path = tempDatabase();
      const store = sqliteStore(path);
      await store.jobs.createJob(pendingJob({ id: 'before' }));
      if (!isOpen) await store.close();
      await raced(path, () => store.jobs.createJob(pendingJob({ id: 'later' })), look);
      assert.deepEqual(await idsAt(path), ['before', 'later']);
      await store.close();
    });
  }

  test('does not have it read the former one', async () => {
    const database = new Database(sqlitePaths(tempDatabase()), 'command');
    const { database: path } = database.paths;
    const other = sqliteStore(path);
    await other.jobs.createJob(pendingJob({ id: 'before' }));
    const identity = () => database.read(async (session) => session?.identity);
    const former = await identity();
    const after = await raced(path, identity);
    assert.notEqual(after, former);
    assert.equal(after, await identity());
    await database.close();
    await other.close();
  });
});

describe('what is no database any more', () => {
  test('is never taken for an empty one: not a file cut to nothing', async () => {
    const path = await withJournal();
    fs.truncateSync(path);
    const journal = fs.readFileSync(`${path}-wal`);
    const store = sqliteStore(path);
    const error = {
      code: 'DAMAGED',
      message: /queue\.db is damaged: it is empty, and was never made so\. `queuectl doctor`/,
    };
    await assert.rejects(store.jobs.listJobs(), error);
    await assert.rejects(store.jobs.createJob(pendingJob()), error);
    await assert.rejects(store.config.setConfig('max_retries', 1), error);
    assert.equal(fs.statSync(path).size, 0);
    assert.ok(fs.readFileSync(`${path}-wal`).equals(journal));
    assert.equal((await mend(path)).length, 1);
    const kept = join(`${path}-state/replaced`, new Date(T0).toISOString().replaceAll(':', ''));
    assert.deepEqual(fs.readdirSync(kept).sort(), ['queue.db', 'queue.db-wal']);
    assert.ok(fs.readFileSync(join(kept, 'queue.db-wal')).equals(journal));
    await store.jobs.createJob(pendingJob({ id: 'next' }));
    assert.deepEqual(await idsOf(store), ['next']);
    await store.close();
  });

  test('nor a journal without its database', async () => {
    const path = await withJournal();
    const database = fs.readFileSync(path);
    fs.rmSync(path);
    const error = {
      code: 'DAMAGED',
      message: /queue\.db is damaged: it is gone, and its journal .*queue\.db-wal is not\./,
    };
    for (const use of [() => idsAt(path), () => sqliteStore(path).jobs.createJob(pendingJob())]) {
      await assert.rejects(use(), error);
      assert.deepEqual(fs.readdirSync(dirname(path)), ['queue.db-wal']);
    }
    fs.writeFileSync(path, database, { mode: 0o600 });
    assert.deepEqual(await idsAt(path), ['a', 'b', 'c']);
    const again = await withJournal();
    fs.rmSync(again);
    assert.equal((await mend(again)).length, 1);
    assert.deepEqual(fs.readdirSync(dirname(again)), ['queue.db-state']);
  });
});

describe('a process that is killed before any one of its calls', () => {
  let program: string;
  before(async () => {
    program = await bundleHere(join(import.meta.dirname, 'killedProgram.ts'));
  });

  /** @returns whether it was killed */
  function kill(task: string, path: string, call: number): boolean {
    const { signal, status, stderr } = spawnSync(process.execPath, [program, task, path, `${call}`], {
      encoding: 'utf8',
    });
    if (signal !== 'SIGKILL') assert.equal(status, 0, stderr);
    return signal === 'SIGKILL';
  }

  test('leaves, when it makes a database, a whole one or none', async () => {
    let call = 0;
    for (let isKilled = true; isKilled; ) {
      call += 1;
      const path = tempDatabase();
      isKilled = kill('make', path, call);
      const ids = await idsAt(path);
      assert.ok(ids.length === 0 || ids[0] === 'killed');
      const store = sqliteStore(path);
      await store.jobs.createJob(pendingJob({ id: 'next' }));
      assert.deepEqual(await idsOf(store), [...ids, 'next']);
      await store.close();
      assert.deepEqual(fs.readdirSync(dirname(path)), ['queue.db'], `call ${call}`);
      assert.deepEqual(await mend(path), [], `call ${call}`);
    }
    assert.ok(call > 4, `${call}`);
  });

  test('leaves, when it puts one in the place of a damaged one, the one or the other, or says so', async () => {
    let call = 0;
    let refusals = 0;
    for (let isKilled = true; isKilled; ) {
      call += 1;
      const path = tempDatabase();
      const former = sqliteStore(path);
      for (const id of ['a', 'b', 'c']) await former.jobs.createJob(pendingJob({ id }));
      const { ino } = fs.statSync(path);
      isKilled = kill('salvage', path, call);
      const now = fs.lstatSync(path);
      if (now.isFile() && now.ino !== ino)
        assert.ok(!fs.existsSync(`${path}-wal`), 'it would be read as the new one’s');
      const expected = ['a', 'b', 'c'];
      const newcomer = sqliteStore(path);
      for (const [store, id] of [
        [newcomer, 'd'],
        [former, 'e'],
      ] as const) {
        try {
          await store.jobs.createJob(pendingJob({ id }));
          expected.push(id);
        } catch (error) {
          assert.ok(error instanceof QueuectlError);
          assert.match(error.message, /the repair of .*queue\.db was cut short\. `queuectl doctor --fix` ends it\.$/);
          await assert.rejects(idsOf(store), { code: 'DAMAGED' });
          refusals += 1;
        }
      }
      await mend(path);
      for (const store of [newcomer, former]) assert.deepEqual(await idsOf(store), expected, `call ${call}`);
      await newcomer.jobs.createJob(pendingJob({ id: 'y' }));
      await former.jobs.createJob(pendingJob({ id: 'z' }));
      await former.close();
      await newcomer.close();
      assert.deepEqual(await idsAt(path), [...expected, 'y', 'z'], `call ${call}`);
      assert.deepEqual(await mend(path), []);
      assert.ok(fs.lstatSync(path).isFile());
      assert.deepEqual(
        fs.readdirSync(dirname(path)).filter((name) => name !== `${basename(path)}-state`),
        ['queue.db'],
      );
    }
    assert.ok(refusals >= 4, `${refusals}`);
  });
});
