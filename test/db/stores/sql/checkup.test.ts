import assert from 'node:assert/strict';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { Check, Role } from '../../../../db/store.js';
import { checkDatabase } from '../../../../db/stores/sql/checkup.js';
import { Database, Session } from '../../../../db/stores/sql/database.js';
import type { Value } from '../../../../db/stores/sql/driver.js';
import { sqlitePaths } from '../../../../db/stores/sql/paths.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { test } from '../../../helpers/sqliteTest.js';
import { sqliteStore, tempDatabase, withSql } from './support.js';

/** A database with three jobs, a setting and a worker, which nobody has open. */
async function database(): Promise<string> {
  const path = tempDatabase();
  const store = sqliteStore(path);
  for (const id of ['a', 'b', 'c']) await store.jobs.createJob(pendingJob({ id }));
  await store.config.setConfig('max_retries', 7);
  const record = { supervisor_id: null, pid: 1, start_time: '1', boot_id: 'b', started_at: T0 };
  await store.workers.register({ id: '1-a', role: 'worker', ...record });
  await store.close();
  return path;
}

async function checksOf(path: string, role: Role = 'command'): Promise<Check[]> {
  const opened = new Database(sqlitePaths(path), role);
  const checks: Check[] = [];
  for await (const check of checkDatabase(opened, () => T0)) checks.push(check);
  await opened.close();
  return checks;
}

async function faultsOf(path: string): Promise<Extract<Check, { state: 'wrong' }>[]> {
  return (await checksOf(path)).filter((check) => check.state === 'wrong');
}

/** The one thing that is wrong. */
async function faultOf(path: string): Promise<Extract<Check, { state: 'wrong' }>> {
  const [fault, ...more] = await faultsOf(path);
  assert.ok(fault);
  assert.deepEqual(more, []);
  return fault;
}

test('all is well with a database that was just made', async () => {
  const checks = await checksOf(await database());
  assert.deepEqual(
    checks.map(({ name, state }) => `${name} ${state}`),
    ['file system', 'ownership', 'permissions', 'database', 'temporary files', 'SQLite', 'settings', 'jobs'].map(
      (name) => `${name} ok`,
    ),
  );
  assert.match(
    checks.find(({ name }) => name === 'SQLite')?.fact ?? '',
    /^3\.\d+\.\d+ \((node:sqlite|better-sqlite3)\)/,
  );
  assert.equal(checks.find(({ name }) => name === 'jobs')?.fact, '3 jobs, each as it should be');
});

test('who only looks leaves everything as it was, what a crash has left in the journal too', async () => {
  const path = await database();
  const before = fs.readFileSync(path);
  assert.ok((await checksOf(path, 'onlooker')).every(({ state }) => state === 'ok'));
  assert.deepEqual(fs.readdirSync(dirname(path)), ['queue.db']);
  const open = sqliteStore(path);
  await open.jobs.createJob(pendingJob({ id: 'd' }));
  const crashed = tempDatabase();
  for (const end of ['', '-wal']) fs.copyFileSync(`${path}${end}`, `${crashed}${end}`);
  for (const end of ['', '-wal']) fs.chmodSync(`${crashed}${end}`, 0o600);
  await open.close();
  const checks = await checksOf(crashed, 'onlooker');
  assert.equal(checks.find(({ name }) => name === 'jobs')?.fact, '4 jobs, each as it should be');
  assert.deepEqual(fs.readFileSync(crashed), before);
});

test('a version of SQLite that may damage the database is told, and is no fault of the store', async () => {
  const path = await database();
  const fact = (await checksOf(path)).find(({ name }) => name === 'SQLite')?.fact ?? '';
  const [, minor = 0, patch = 0] = /^3\.(\d+)\.(\d+)/.exec(fact)?.map(Number) ?? [];
  const isMended = minor > 51 || (minor === 51 && patch >= 3);
  assert.equal(fact.includes('in very rare cases damages'), !isMended, fact);
});

const BROKEN: [what: string, sql: string, name: string, fact: RegExp, copy: string, left: string][] = [
  [
    'a job that breaks a rule',
    `UPDATE job_records SET record = json_set(record, '$.attempts', -1) WHERE id = 'b'`,
    'jobs',
    /^"b" "attempts" must be an integer/,
    'job_records.ndjson',
    `SELECT group_concat(id) AS left FROM job_records`,
  ],
  [
    'a job of another id',
    `UPDATE job_records SET record = json_set(record, '$.id', 'x') WHERE id = 'b'`,
    'jobs',
    /^"b" "id" is "x"$/,
    'job_records.ndjson',
    `SELECT group_concat(id) AS left FROM job_records`,
  ],
  [
    'a setting out of range',
    `UPDATE settings SET value = '-1' WHERE name = 'max_retries'`,
    'settings',
    /^"max_retries" must be an integer/,
    'settings.ndjson',
    `SELECT group_concat(name) AS left FROM settings WHERE name = 'kill_grace'`,
  ],
  [
    'a setting that is not JSON',
    `UPDATE settings SET value = 'seven' WHERE name = 'max_retries'`,
    'settings',
    /^"max_retries" is not JSON$/,
    'settings.ndjson',
    `SELECT group_concat(name) AS left FROM settings WHERE name = 'kill_grace'`,
  ],
];
for (const [what, sql, name, fact, copy, left] of BROKEN) {
  test(`${what} is named, and removed when it is to be mended, with a copy`, async () => {
    const path = await database();
    withSql(path, sql);
    const fault = await faultOf(path);
    assert.equal(fault.name, name);
    assert.match(fault.fact, fact);
    const done = await fault.repair?.();
    const file = `${path}-state/replaced/${new Date(T0).toISOString().replaceAll(':', '')}/${copy}`;
    assert.equal(done, `removed: 1; a copy is in ${file}`);
    assert.equal(fs.readFileSync(file, 'utf8').trimEnd().split('\n').length, 1);
    assert.equal((fs.statSync(file).mode & 0o777).toString(8), '600');
    assert.deepEqual(await faultsOf(path), []);
    assert.ok(['a,c', 'kill_grace'].includes(String(withSql(path, '', left)[0]?.left)));
  });
}

test('a setting of a newer version is named, and left alone, also when another is removed', async () => {
  const path = await database();
  withSql(path, `INSERT INTO settings VALUES ('colour', '"red"'), ('size', '1')`);
  const fault = await faultOf(path);
  assert.equal(fault.fact, 'unknown settings have no effect: "colour", "size"');
  assert.equal(fault.repair, undefined);
  withSql(path, `UPDATE settings SET value = '-1' WHERE name = 'max_retries'`);
  assert.match((await (await faultOf(path)).repair?.()) ?? '', /^removed: 1;/);
  const [row] = withSql(
    path,
    '',
    `SELECT group_concat(name) AS left FROM settings WHERE name IN ('colour', 'size', 'max_retries')`,
  );
  assert.equal(row?.left, 'colour,size');
});

test('the database is gone through once, and again only after a repair', async (t) => {
  const path = await database();
  const opened = new Database(sqlitePaths(path), 'command');
  const { all } = Session.prototype;
  let looks = 0;
  t.mock.method(Session.prototype, 'all', function (this: Session, sql: string, ...values: Value[]) {
    if (sql.includes('quick_check')) looks += 1;
    return all.call(this, sql, ...values);
  });
  for await (const check of checkDatabase(opened, () => T0)) assert.equal(check.state, 'ok');
  assert.equal(looks, 1);
  await opened.close();
});

test('a job that breaks a rule stops every command that meets it, and no other', async () => {
  const path = await database();
  withSql(path, `UPDATE job_records SET record = json_set(record, '$.attempts', -1) WHERE id = 'b'`);
  const store = sqliteStore(path);
  await assert.rejects(store.jobs.listJobs(), {
    code: 'DAMAGED',
    message:
      /queue\.db is damaged: job "b": "attempts" must be .*\. `queuectl doctor` tells more, and can repair it\.$/,
  });
  assert.equal((await store.jobs.getJob('a'))?.id, 'a');
  assert.equal((await store.jobs.claimNext('w1', T0))?.id, 'a');
  await store.close();
});

test('what was changed since it was found wrong is not removed', async () => {
  const path = await database();
  withSql(path, `UPDATE job_records SET record = json_set(record, '$.attempts', -1) WHERE id = 'b'`);
  const fault = await faultOf(path);
  withSql(path, `UPDATE job_records SET record = json_set(record, '$.attempts', 0) WHERE id = 'b'`);
  assert.match((await fault.repair?.()) ?? '', /^removed: 0;/);
  assert.deepEqual(await faultsOf(path), []);
});

test('files that others can use are named, and closed to them', async () => {
  const path = await database();
  fs.mkdirSync(`${path}-state`, { mode: 0o700 });
  fs.chmodSync(path, 0o644);
  fs.chmodSync(`${path}-state`, 0o755);
  const fault = await faultOf(path);
  assert.equal(fault.name, 'permissions');
  assert.match(fault.fact, /queue\.db can be used by others \(mode 644\); .*queue\.db-state .*\(mode 755\)$/);
  assert.equal(await fault.repair?.(), 'put right');
  assert.deepEqual(await faultsOf(path), []);
});

for (const folder of ['logs', 'workers']) {
  test(`the files in ${folder} are looked at`, async () => {
    const path = await database();
    const directory = `${path}-state/${folder}`;
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    fs.writeFileSync(`${directory}/a.log`, '', { mode: 0o600 });
    assert.deepEqual(await faultsOf(path), []);
    fs.chmodSync(`${directory}/a.log`, 0o640);
    assert.match((await faultOf(path)).fact, /a\.log can be used by others \(mode 640\)$/);
    fs.rmSync(`${directory}/a.log`);
    fs.symlinkSync('/dev/null', `${directory}/a.log`);
    assert.match((await faultOf(path)).fact, /a\.log is no file$/);
  });
}

test('files that their owner cannot write to are named, and opened to him', async () => {
  const path = await database();
  const store = sqliteStore(path);
  await store.jobs.countJobs(); // makes what is shared
  fs.chmodSync(`${path}-shm`, 0o400); // as SQLite makes it where the database is read-only
  const fault = await faultOf(path);
  assert.equal(fault.name, 'permissions');
  assert.match(fault.fact, /queue\.db-shm cannot be used by you \(mode 400\)$/);
  await fault.repair?.();
  assert.deepEqual(await faultsOf(path), []);
  await store.close();
});

test('files of others, and links, are to be put right by hand', { skip: process.geteuid?.() !== 0 }, async () => {
  const path = await database();
  fs.chownSync(path, 12345, 12345);
  const fault = (await faultsOf(path))[0];
  assert.equal(fault?.name, 'ownership');
  assert.match(fault.fact, /queue\.db belongs to another user \(uid 12345\)/);
});

/** Overwrites a page of a database with 503 jobs: the root of a table or index, or one amid the jobs. */
async function damagedDatabase(where: string): Promise<string> {
  const path = await database();
  const store = sqliteStore(path);
  const jobs = Array.from({ length: 500 }, (_, n) => pendingJob({ id: `more-${n}`, command: 'x'.repeat(300) }));
  await store.jobs.createJobs(jobs.map((job) => ({ job, hasNewId: true })));
  await store.close();
  withSql(path, `INSERT INTO settings VALUES ('colour', '"red"')`); // of a newer version
  const sql = `SELECT rootpage AS page FROM sqlite_schema WHERE name = '${where}'`;
  const page = where === 'amid' ? pageAmidJobs(path) : Number(withSql(path, '', sql)[0]?.page);
  const fd = fs.openSync(path, 'r+');
  fs.writeSync(fd, Buffer.alloc(4096, 0x5a), 0, 4096, (page - 1) * 4096);
  fs.closeSync(fd);
  return path;
}

function pageAmidJobs(path: string): number {
  return Math.floor(fs.readFileSync(path).indexOf('"id":"more-250"') / 4096) + 1;
}

for (const [where, least, most] of [
  ['jobs_in_turn', 503, 503],
  ['amid', 480, 502],
] as const) {
  test(`a damaged page (${where}) is found, and what can be read is kept`, async () => {
    const path = await damagedDatabase(where);
    const before = fs.readFileSync(path);
    const user = sqliteStore(path, { role: 'worker' });
    assert.equal((await user.jobs.getJob('a'))?.id, 'a');
    const opened = new Database(sqlitePaths(path), 'command');
    const found: string[] = [];
    for await (const check of checkDatabase(opened, () => T0)) {
      if (check.state === 'ok') continue;
      found.push(check.name);
      if (check.name === 'settings') continue;
      assert.match(check.fact, /queue\.db is damaged: /);
      assert.ok(fs.readFileSync(path).equals(before), 'it is left as it is');
      assert.match(
        (await check.repair?.()) ?? '',
        /^\d+ jobs could be read; the former files are in .*-state\/replaced/,
      );
    }
    await opened.close();
    assert.deepEqual(found, ['database', 'settings'], 'the rest is looked at after the repair');
    const kept = join(`${path}-state`, 'replaced', new Date(T0).toISOString().replaceAll(':', ''), 'queue.db');
    assert.ok(fs.readFileSync(kept).equals(before));
    assert.equal((await faultOf(path)).fact, 'unknown settings have no effect: "colour"');
    const jobs = await user.jobs.listJobs();
    assert.ok(jobs.length >= least && jobs.length <= most, `${jobs.length}`);
    assert.equal(await user.config.getConfig('max_retries'), 7);
    assert.equal((await user.workers.list()).records.length, 1);
    await user.jobs.createJob(pendingJob({ id: 'next' }));
    await user.close();
    assert.equal((fs.statSync(path).mode & 0o777).toString(8), '600');
    assert.equal((await sqliteJobs(path)).length, jobs.length + 1);
  });
}

async function sqliteJobs(path: string) {
  const store = sqliteStore(path);
  const jobs = await store.jobs.listJobs();
  await store.close();
  return jobs;
}

test('a database that nothing can be read of is left as it is', async () => {
  const path = await database();
  const content = fs.readFileSync(path).fill(0x5a, 100, 4096); // the header stays
  fs.writeFileSync(path, content);
  const fault = (await faultsOf(path)).at(-1);
  assert.equal(fault?.name, 'database');
  assert.match(fault.remedy, /Put a copy of it back/);
  assert.equal(fault.repair, undefined);
  assert.ok(fs.readFileSync(path).equals(content));
});

test('a store that is not there is well', async () => {
  const path = join(dirname(tempDatabase()), 'not', 'there', 'queue.db');
  assert.deepEqual(await checksOf(path), [
    { name: 'database', state: 'ok', fact: `${path} is not there yet; the first job makes it` },
  ]);
});
