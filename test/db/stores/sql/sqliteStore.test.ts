import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { openStore, stateDirectoryOf } from '../../../../db/index.js';
import { Database } from '../../../../db/stores/sql/database.js';
import { sqlitePaths } from '../../../../db/stores/sql/paths.js';
import { APPLICATION_ID, SCHEMA_VERSION } from '../../../../db/stores/sql/schema.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { describe, test } from '../../../helpers/sqliteTest.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { waitFor } from '../../../helpers/waitFor.js';
import { sqliteStore, tempDatabase, withSql } from './support.js';

const notRoot = process.geteuid?.() !== 0 && 'needs root to give files away';
const modeOf = (path: string) => (fs.statSync(path).mode & 0o777).toString(8);

describe('the file', () => {
  test('is not made by reading, nor its directory', async () => {
    const directory = join(tempStore(), 'not', 'there');
    const store = sqliteStore(join(directory, 'queue.db'));
    assert.deepEqual(await store.jobs.listJobs(), []);
    await store.config.getAllConfig();
    assert.equal(
      await store.store.settings.read(),
      await store.store.settings.read(),
      'it is the same as long as nothing changes',
    );
    await store.workers.list();
    await store.workers.unregister('1-a');
    for await (const check of store.store.check()) assert.equal(check.state, 'ok');
    await store.close();
    assert.ok(!fs.existsSync(dirname(directory)));
  });

  test('is for its owner alone, whatever the umask is', async () => {
    const directory = join(tempStore(), 'a', 'b');
    const path = join(directory, 'queue.db');
    const umask = process.umask(0);
    try {
      const store = sqliteStore(path);
      await store.jobs.createJob(pendingJob());
      for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(modeOf(file), '600');
      for (const made of [directory, dirname(directory)]) assert.equal(modeOf(made), '700');
      await store.close();
    } finally {
      process.umask(umask);
    }
    assert.deepEqual(fs.readdirSync(directory), ['queue.db']);
  });

  test('says what it is, and anybody may look at it by the usual names', async () => {
    const path = tempDatabase();
    const store = sqliteStore(path);
    await store.jobs.createJob(pendingJob({ id: 'a', command: 'echo a', run_at: T0 + 5 }));
    await store.jobs.createJob(pendingJob({ id: 'b', command: 'echo b', priority: 9 }));
    await store.jobs.createJob(pendingJob({ id: 'c', command: 'echo c', created_at: T0 - 1 }));
    const held = await store.jobs.claimNext('w1', T0 + 1);
    assert.equal(held?.id, 'b');
    const buried = await store.jobs.claimNext('w1', T0 + 2);
    assert.ok(buried);
    await store.dlq.moveToDLQ(buried, 'exit code 7', T0 + 3);
    const columns =
      'id, command, state, attempts, max_retries, next_run_at, locked_by, last_error, created_at, updated_at';
    const rows = [
      ['c', 'echo c', 'dead', 1, 3, T0 + 3, null, 'exit code 7', T0 - 1, T0 + 3],
      ['a', 'echo a', 'pending', 0, 3, T0 + 5, null, null, T0, T0],
      ['b', 'echo b', 'processing', 1, 3, T0, 'w1', null, T0, T0 + 1],
    ];
    const found = withSql(path, '', `SELECT ${columns} FROM jobs`);
    assert.deepEqual(
      found.map((row) => Object.values(row)),
      rows,
    );
    assert.equal(Object.keys(found[0] ?? {}).join(', '), columns);
    assert.deepEqual(withSql(path, '', 'SELECT * FROM dlq'), [
      {
        id: 'c',
        command: 'echo c',
        attempts: 1,
        max_retries: 3,
        error: 'exit code 7',
        failed_at: T0 + 3,
        created_at: T0 - 1,
      },
    ]);
    const client = spawnSync('sqlite3', ['-json', path, `SELECT ${columns} FROM jobs`], { encoding: 'utf8' });
    if (client.error === undefined) {
      assert.deepEqual(JSON.parse(client.stdout).map(Object.values), rows); // of a client that there may be
    }
    await store.close();
    assert.deepEqual(withSql(path, '', 'PRAGMA application_id'), [{ application_id: APPLICATION_ID }]);
    assert.deepEqual(withSql(path, '', 'PRAGMA user_version'), [{ user_version: SCHEMA_VERSION }]);
  });

  const refusals: [what: string, make: (path: string) => void, error: object][] = [
    [
      'a link',
      (path) => {
        fs.writeFileSync(`${path}.elsewhere`, '');
        fs.symlinkSync(`${path}.elsewhere`, path);
      },
      {
        code: 'STORAGE',
        message: /^cannot use .*queue\.db: is a symbolic link\. Put a file in the place of the link\.$/,
      },
    ],
    ['a directory', (path) => fs.mkdirSync(path), { code: 'DAMAGED', message: /queue\.db is no file\. Name another/ }],
    [
      'text',
      (path) => fs.writeFileSync(path, 'my diary, which is no database at all\n'.repeat(50)),
      { code: 'DAMAGED', message: /queue\.db is no SQLite database\. Name another file with --store/ },
    ],
    [
      'cut to nothing',
      (path) => fs.writeFileSync(path, '', { mode: 0o600 }),
      { code: 'DAMAGED', message: /queue\.db is damaged: it is empty, and was never made so\. `queuectl doctor`/ },
    ],
    [
      'the database of another program',
      (path) => void withSql(path, 'CREATE TABLE bookmarks (url TEXT)'),
      { code: 'DAMAGED', message: /queue\.db is the database of another program\. Name another file/ },
    ],
    [
      'that of a newer version',
      (path) =>
        void withSql(path, `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 99; CREATE TABLE x (y)`),
      { code: 'DAMAGED', message: /was written by a newer version\. Use the newer queuectl that wrote it\.$/ },
    ],
  ];
  for (const [what, make, error] of refusals) {
    test(`is refused, and left as it is, when it is ${what}`, async () => {
      const path = tempDatabase();
      make(path);
      const content = () => (fs.statSync(path).isFile() ? fs.readFileSync(path, 'latin1') : fs.readdirSync(path));
      const before = content();
      const store = sqliteStore(path);
      await assert.rejects(store.jobs.listJobs(), error);
      await assert.rejects(store.jobs.createJob(pendingJob()), error);
      await assert.rejects(store.config.setConfig('max_retries', 1), error);
      const checks = [];
      for await (const check of store.store.check()) checks.push(check.state);
      assert.ok(checks.includes('wrong'));
      await store.close();
      assert.deepEqual(content(), before);
    });
  }

  test('that is removed is made again by a command, and not by a worker', async () => {
    const path = tempDatabase();
    const command = sqliteStore(path);
    await command.jobs.createJob(pendingJob({ id: 'a' }));
    const worker = sqliteStore(path, { role: 'worker' });
    assert.ok(await worker.jobs.claimNext('w1', T0));
    for (const name of fs.readdirSync(dirname(path))) fs.rmSync(join(dirname(path), name));
    await assert.rejects(worker.jobs.claimNext('w1', T0), { code: 'STORAGE', message: /no such file or directory/ });
    assert.ok(!fs.existsSync(path));
    fs.rmdirSync(dirname(path));
    assert.throws(() => worker.store.subscribe(() => {}), { code: 'STORAGE', message: /no such file or directory/ });
    assert.ok(!fs.existsSync(dirname(path)));
    assert.deepEqual(await command.jobs.listJobs(), []);
    await command.jobs.createJob(pendingJob({ id: 'b' }));
    assert.equal((await worker.jobs.claimNext('w1', T0))?.id, 'b');
    await worker.close(); // which had the other one open, too
    const next = sqliteStore(path);
    assert.equal((await next.jobs.getJob('b'))?.state, 'processing');
    await next.close();
    await command.close();
  });

  test('has its directory for what belongs to this machine beside it', () => {
    assert.equal(stateDirectoryOf({ kind: 'sqlite', path: '/x/queue.db' }), '/x/queue.db-state');
    assert.equal(stateDirectoryOf({ kind: 'file', dir: '/x' }), '/x');
  });
});

describe('trust', () => {
  const open = (path: string) =>
    openStore({ kind: 'sqlite', path }, { role: 'command', isAlive: () => false, onWarning: () => {} });

  for (const mode of [0o777, 0o775, 0o1777]) {
    test(`a directory of mode ${mode.toString(8)} is refused`, () => {
      const path = tempDatabase();
      fs.chmodSync(dirname(path), mode);
      assert.throws(() => open(path), {
        code: 'STORAGE',
        fact: `other users can write to ${dirname(path)}, and so have commands run as you`,
      });
      assert.deepEqual(fs.readdirSync(dirname(path)), []);
    });
  }

  test('a database that others can write to is refused where they can reach it', () => {
    for (const name of ['queue.db', 'queue.db-wal', 'queue.db-shm', 'queue.db-state']) {
      const path = tempDatabase();
      fs.chmodSync(dirname(path), 0o755);
      fs.writeFileSync(join(dirname(path), name), '');
      fs.chmodSync(join(dirname(path), name), 0o666);
      assert.throws(() => open(path), { code: 'STORAGE', message: /other users can write to .*queue\.db/ });
      fs.chmodSync(dirname(path), 0o700);
      open(path);
    }
  });

  test('a database of another user is refused', { skip: notRoot }, () => {
    const path = tempDatabase();
    fs.writeFileSync(path, '');
    fs.chownSync(path, 12345, 12345);
    assert.throws(() => open(path), { code: 'STORAGE', message: /belongs to another user \(uid 12345\)/ });
  });
});

describe('transactions', () => {
  test('are kept as their durability says', async () => {
    const database = new Database(sqlitePaths(tempDatabase()), 'command');
    const synchronous = () => database.read((session) => session?.get('PRAGMA synchronous')?.synchronous);
    for (const [durability, level] of [
      ['on disk', 2],
      ['soon', 1],
      ['soon', 1],
      ['on disk', 2],
    ] as const) {
      await database.write((session) => session.run('UPDATE change SET seq = seq + 1'), durability);
      assert.equal(await synchronous(), level);
    }
    assert.deepEqual(await database.read((session) => ({ ...session?.get('PRAGMA journal_mode') })), {
      journal_mode: 'wal',
    });
    await database.close();
  });

  test('wait for another without stopping the process, and begin anew each time', async () => {
    const path = tempDatabase();
    const store = sqliteStore(path);
    await store.jobs.createJob(pendingJob({ id: 'a' }));
    const blocker = new Database(sqlitePaths(path), 'command');
    let end = () => {};
    const blocked = blocker.write(
      () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
      'soon',
    );
    await waitFor(async () => end !== undefined);
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
    }, 1);
    const waiting = store.jobs.claimNext('w1', T0);
    await waitFor(() => ticks > 20);
    assert.equal((await sqliteLook(path)).length, 1, 'readers do not wait');
    end();
    await blocked;
    assert.equal((await waiting)?.id, 'a');
    clearInterval(timer);
    await blocker.close();
    await store.close();
  });

  test('give up after a minute', async (t) => {
    const path = tempDatabase();
    const store = sqliteStore(path);
    await store.jobs.createJob(pendingJob({ id: 'a' }));
    const blocker = new Database(sqlitePaths(path), 'command');
    let end = () => {};
    let isIn = false;
    const blocked = blocker.write(() => {
      isIn = true;
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    }, 'soon');
    await waitFor(() => isIn);
    const { hrtime } = process;
    let passed = 0;
    t.mock.method(process, 'hrtime', () => {
      passed += 7;
      const [seconds, nanoseconds] = hrtime();
      return [seconds + passed, nanoseconds];
    });
    await assert.rejects(store.jobs.createJob(pendingJob()), {
      code: 'BUSY',
      message: `the store has been locked for 60 seconds. Find out who holds ${path}, then try again.`,
    });
    assert.ok(passed >= 60);
    end();
    await blocked;
    await blocker.close();
    await store.close();
  });
});

const sqliteLook = async (path: string) => {
  const store = sqliteStore(path);
  const jobs = await store.jobs.listJobs();
  await store.close();
  return jobs;
};

describe('news', () => {
  test('are what others change of the jobs, and no signs of life, no settings, nothing of its own', async () => {
    const path = tempDatabase();
    const store = sqliteStore(path);
    const other = sqliteStore(path);
    const record = {
      role: 'worker',
      supervisor_id: null,
      pid: 1,
      start_time: '1',
      boot_id: 'b',
      started_at: T0,
    } as const;
    await store.workers.register({ id: '1-a', ...record });
    const calls = { store: 0, other: 0 };
    const ends = [
      store.store.subscribe(() => {
        calls.store += 1;
      }),
      other.store.subscribe(() => {
        calls.other += 1;
      }),
    ];
    await other.workers.heartbeat('1-a');
    await other.config.setConfig('max_retries', 1);
    await other.workers.unregister('1-a');
    await other.jobs.claimNext('w1', T0);
    await store.jobs.createJob(pendingJob());
    await waitFor(() => calls.other > 0);
    assert.equal(calls.store, 0);
    await other.jobs.createJob(pendingJob());
    await waitFor(() => calls.store > 0);
    for (const end of ends) end();
    await store.close();
    await other.close();
  });
});

describe('a process', () => {
  // Run where it is: the driver is looked for beside the program.
  const program = join(import.meta.dirname, 'program.ts');
  const start = (task: string, path: string) =>
    spawn(process.execPath, ['--import', 'tsx', program, task, path], { stdio: ['pipe', 'pipe', 'pipe'] });

  test('that waits for news ends by itself, and says nothing of what SQLite is in Node', async () => {
    const path = tempDatabase();
    const child = start('subscribe', path);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const [code] = await once(child, 'close');
    assert.match(output, /^\(node:\d+\) ExperimentalWarning: of the program itself\n.*\n$/);
    assert.equal(code, 0);
  });

  test("that is killed has lost nothing that it acknowledged, and is in nobody's way", async () => {
    const path = tempDatabase();
    for (let round = 0; round < 5; round++) {
      const child = start('add', path);
      let acknowledged = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        acknowledged += text;
      });
      await waitFor(() => acknowledged.split('\n').length > 20 + 7 * round);
      child.kill('SIGKILL');
      await once(child, 'close');
      const ids = acknowledged.split('\n').slice(0, -1);
      const store = sqliteStore(path);
      const there = new Set((await store.jobs.listJobs()).map(({ id }) => id));
      assert.deepEqual(
        ids.filter((id) => !there.has(id)),
        [],
      );
      const checks = [];
      for await (const { state, fact } of store.store.check()) if (state === 'wrong') checks.push(fact);
      assert.deepEqual(checks, []);
      await store.jobs.createJob(pendingJob());
      await store.close();
    }
  });
});
