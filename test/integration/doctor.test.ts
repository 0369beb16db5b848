/** `queuectl doctor` on stores at which something is wrong: it says so and changes nothing; with --fix it mends it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import type { Finding } from '../../core/doctor.js';
import { waitFor } from '../helpers/waitFor.js';
import { aboutFiles, byKind, kill, storeTest, type TestStore } from './support.js';

const NO_PID = 2 ** 22 + 1; // more than Linux gives out

interface Report {
  readonly ok: boolean;
  readonly checks: Finding[];
}

async function report(store: TestStore, ...flags: string[]): Promise<Report> {
  const { code, stdout, stderr } = await store.run(['doctor', '--json', ...flags]);
  assert.equal(stderr, '');
  const result: Report = JSON.parse(stdout);
  assert.equal(code, result.ok ? 0 : 1);
  return result;
}

/** The checks that found something, as `lock: wrong`. */
const findings = ({ checks }: Report) =>
  checks.filter(({ state }) => state !== 'ok').map(({ check, state }) => `${check}: ${state}`);

/** The names, modes and contents of all that is in the store; the latter not of what changes with each sign of life on SQLite. */
const everything = (store: TestStore) =>
  fs
    .readdirSync(store.directory, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => {
      const stat = fs.statSync(path);
      const isSteady = stat.isFile() && !/-(wal|shm)$/.test(path);
      return [path, stat.mode, isSteady ? fs.readFileSync(path, 'latin1') : ''];
    });

/** Finds one thing wrong and changes nothing; fixes it; finds nothing. */
async function mends(store: TestStore, check: string): Promise<Finding> {
  const before = everything(store);
  assert.deepEqual(findings(await report(store)), [`${check}: wrong`]);
  assert.deepEqual(everything(store), before);
  const fixed = await report(store, '--fix');
  assert.deepEqual(findings(fixed), [`${check}: fixed`]);
  const after = await report(store);
  assert.deepEqual(findings(after), [], JSON.stringify(after));
  return fixed.checks.find(({ state }) => state === 'fixed') as Finding; // there is one, as has just been seen
}

describe('doctor', { concurrency: 2 }, () => {
  storeTest('finds nothing wrong where there is no queue yet, and makes none', async (store) => {
    assert.equal((await report(store)).ok, true);
    assert.equal((await report(store, '--fix')).ok, true);
    assert.equal(store.isThere(), false);
  });

  storeTest('finds nothing wrong beside workers that wait for the first job, nor behind them', async (store) => {
    await store.startWorkers();
    assert.match(await store.ok('doctor'), /✔ workers: 1 work on the queue\n/);
    await store.ok('worker-stop');
    assert.equal((await report(store)).ok, true);
  });

  storeTest('says a line for each check, at rest and beside workers', async (store) => {
    await store.enqueue({ id: 'done', command: 'true' }, { id: 'slow', command: store.endless });
    await store.startWorkers('--count', '2');
    await waitFor(() => store.endlessProcesses().length === 3);
    const output = await store.ok('doctor');
    const lines = byKind({ file: 15, sqlite: 13 });
    assert.match(output, new RegExp(`^(✔ [A-Za-z. ]+: .+\\n){${lines}}$`));
    assert.match(output, byKind({ file: /✔ queue\.json: 2 jobs\n/, sqlite: /✔ jobs: 2 jobs, each as it should be\n/ }));
    assert.match(output, /✔ workers: 2 work on the queue\n/);
    await store.ok('worker-stop', '--now');
    assert.equal((await report(store)).ok, true);
  });

  storeTest(
    'tells of a damaged queue in a line, and keeps what can be read',
    async (store) => {
      await store.enqueue({ id: 'a', command: 'true' }, { id: 'b', command: 'true' });
      const path = join(store.dataDir, 'queue.json');
      fs.writeFileSync(path, fs.readFileSync(path, 'utf8').slice(0, -20));
      const { code, stdout } = await store.run(['doctor']);
      assert.equal(code, 1);
      assert.match(
        stdout,
        /^✖ queue\.json: line 3: it is not JSON .*`queuectl doctor --fix` keeps the 1 job and 0 dead jobs that/m,
      );
      const { stderr } = await store.run(['status']);
      assert.match(
        stderr,
        /^queuectl: .*queue\.json is damaged: .*\. `queuectl doctor` tells more, and can repair it\.\n$/,
      );
      const { fact } = await mends(store, 'queue.json');
      const kept = /the former files are in (.*)$/.exec(fact)?.[1] ?? '';
      assert.deepEqual(fs.readdirSync(kept).sort(), ['dlq.json', 'journal.ndjson', 'queue.json']);
      assert.equal(fs.statSync(join(kept, 'queue.json')).mode & 0o777, 0o600);
      assert.deepEqual(
        store.queue().map(({ id }) => id),
        ['a'],
      );
    },
    aboutFiles,
  );

  storeTest(
    'gives back a lock that was left behind',
    async (store) => {
      await store.ok('enqueue', 'true');
      fs.linkSync(join(store.dataDir, 'lock/store.file'), join(store.dataDir, 'lock/store'));
      fs.utimesSync(join(store.dataDir, 'lock/store'), NO_PID, NO_PID);
      await mends(store, 'lock');
    },
    aboutFiles,
  );

  storeTest(
    'removes temporary files of processes that are gone, and no others',
    async (store) => {
      await store.ok('enqueue', 'true');
      fs.mkdirSync(join(store.dataDir, 'workers'), { mode: 0o700 });
      const kept = ['queue.json.tmp', `notes.${NO_PID}-1.tmp`];
      const living = [`workers/x.json.${process.pid}-ab.tmp`];
      const left = [
        `queue.json.${NO_PID}-0af.tmp`,
        `journal.ndjson.${NO_PID}-1.tmp.123`,
        `workers/x.json.${NO_PID}-1.tmp`,
      ];
      for (const name of [...kept, ...living, ...left])
        fs.writeFileSync(join(store.dataDir, name), '', { mode: 0o600 });
      await mends(store, 'temporary files');
      for (const name of [...kept, ...living]) assert.ok(fs.existsSync(join(store.dataDir, name)), name);
      for (const name of left) assert.ok(!fs.existsSync(join(store.dataDir, name)), name);
      for (const name of living) fs.rmSync(join(store.dataDir, name));
      fs.rmSync(join(store.dataDir, 'queue.json.tmp'));
      fs.rmSync(join(store.dataDir, `notes.${NO_PID}-1.tmp`));
    },
    aboutFiles,
  );

  storeTest('takes back the jobs of workers that are dead, or whose pid is another process by now', async (store) => {
    await store.ok('config-set', 'backoff_base', '1');
    await store.enqueue({ id: 'lost', command: store.endless });
    await store.startWorkers();
    await waitFor(() => store.endlessProcesses().length === 3);
    const [worker] = store.records('worker');
    const [supervisor] = store.records('supervisor');
    assert.ok(worker !== undefined && supervisor !== undefined);
    for (const { pid } of [supervisor, worker]) kill(pid);
    await waitFor(() => store.processes().length === 0);
    store.shelf.putWorker({ ...worker, pid: process.pid }); // not this one's start time
    const { fact } = await mends(store, 'workers');
    assert.match(fact, /jobs to be taken back: 1; taken back: 1$/);
    assert.equal(store.job('lost').last_error, 'its worker died');
  });

  storeTest('clears away what a worker that is not on record has left', async (store) => {
    await store.ok('enqueue', 'true');
    const traces = ['guard', '1', '2'].map((name) => join(store.dataDir, `workers/${NO_PID}-0abc.${name}`));
    fs.mkdirSync(join(store.dataDir, 'workers'), { recursive: true, mode: 0o700 });
    for (const path of traces) {
      fs.writeFileSync(path, '', { mode: 0o600 });
      const { fact } = await mends(store, 'workers');
      assert.equal(fact, 'not there any more: nobody that is known; jobs to be taken back: 0; taken back: 0');
      assert.equal(fs.existsSync(path), false);
    }
  });

  storeTest('removes the record of a dead worker that cannot be read, and no living one', async (store) => {
    await store.ok('enqueue', 'true');
    await store.startWorkers();
    await waitFor(() => store.queue()[0]?.state === 'completed');
    if (aboutFiles === undefined) {
      await waitFor(() => store.shelf.isAtRest());
      await waitFor(() => !fs.existsSync(join(store.dataDir, 'lock/store'))); // it folds under the lock
    }
    store.shelf.putUnreadableWorker(`${NO_PID}-0abc`);
    await mends(store, 'worker records');
    const fault = store.shelf.putUnreadableWorker(`${process.pid}-0abc`);
    assert.deepEqual(findings(await report(store, '--fix')), ['worker records: wrong']);
    const { stdout, stderr: warning } = await store.run(['status', '--json']);
    assert.equal(JSON.parse(stdout).activeWorkers, 1);
    const doubt = JSON.parse(warning).warning.fact;
    assert.ok(doubt.startsWith(`there may be more workers: ${fault}`), doubt);
    assert.equal((await store.run(['status'])).stderr, `queuectl: warning: ${doubt}\n`);
    const { code, stderr } = await store.run(['worker-stop']);
    assert.equal(code, 1);
    assert.ok(stderr.startsWith(`queuectl: ${fault}`), stderr);
    store.shelf.removeWorker(`${process.pid}-0abc`);
    assert.equal((await store.counts()).activeWorkers, 0, 'those that can be read are stopped');
  });

  storeTest('moves logs of no job away, but not while files from before a repair are kept', async (store) => {
    await store.enqueue({ id: 'a', command: 'echo a' }, { id: 'b/b', command: 'echo b' });
    await store.startWorkers();
    await waitFor(() => store.completed() === 2);
    await store.ok('worker-stop');
    const logs = () => fs.readdirSync(join(store.dataDir, 'logs')).sort();
    const wanted = logs();
    assert.equal(wanted.length, 2);
    const stray = ['gone.log', 'gone~1.log', 'gone~12.log', `~${'0'.repeat(32)}~2.log`];
    const addStray = () => {
      for (const name of stray) fs.writeFileSync(join(store.dataDir, 'logs', name), 'x', { mode: 0o600 });
    };
    addStray();
    const before = everything(store);
    const { ok, checks } = await report(store);
    assert.equal(ok, true, 'they do no harm');
    assert.equal(checks.find(({ check }) => check === 'logs')?.fact, '6, 4 of them of no job');
    assert.deepEqual(everything(store), before);
    assert.deepEqual(findings(await report(store, '--fix')), ['logs: fixed']);
    assert.deepEqual(logs(), wanted);
    const [moment = ''] = fs.readdirSync(join(store.dataDir, 'replaced'));
    const away = join(store.dataDir, 'replaced', moment, 'logs');
    assert.deepEqual(fs.readdirSync(away).sort(), stray.sort());
    for (const name of stray) assert.equal(fs.readFileSync(join(away, name), 'utf8'), 'x');
    addStray();
    assert.deepEqual(findings(await report(store, '--fix')), ['logs: fixed'], 'a second time as well');
    assert.deepEqual(logs(), wanted);
    store.shelf.spoilLastJob();
    await mends(store, byKind({ file: 'queue.json', sqlite: 'jobs' }));
    assert.deepEqual(
      store.queue().map(({ id }) => id),
      ['a'],
    );
    assert.equal((await report(store, '--fix')).ok, true);
    assert.deepEqual(logs(), wanted);
  });

  storeTest(
    'tells of a queue.json that is gone',
    async (store) => {
      await store.enqueue({ id: 'a', command: 'true' });
      fs.rmSync(join(store.dataDir, 'queue.json'));
      await mends(store, 'queue.json');
      assert.deepEqual(store.queue(), []);
    },
    aboutFiles,
  );

  storeTest('takes from others what they could read', async (store) => {
    await store.ok('enqueue', 'true');
    const log = join(store.dataDir, 'workers/workers.log');
    fs.mkdirSync(join(store.dataDir, 'workers'), { recursive: true, mode: 0o700 });
    fs.writeFileSync(log, '', { mode: 0o600 });
    for (const file of [join(store.directory, byKind({ file: 'queue.json', sqlite: 'queue.db' })), log]) {
      fs.chmodSync(store.directory, 0o755);
      fs.chmodSync(file, 0o644);
      await mends(store, 'permissions');
      assert.equal(fs.statSync(store.directory).mode & 0o777, 0o755, 'nobody learns anything from the names');
      assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    }
  });

  storeTest('tells of what its owner cannot use', async (store) => {
    await store.ok('enqueue', 'true');
    const written = join(store.directory, byKind({ file: 'journal.ndjson', sqlite: 'queue.db' }));
    fs.chmodSync(written, 0o400);
    await mends(store, 'permissions');
    assert.equal(fs.statSync(written).mode & 0o777, 0o600);
  });

  storeTest(
    'finds nothing wrong with a file that is only ever replaced and cannot be written',
    async (store) => {
      await store.ok('enqueue', 'true');
      const queue = join(store.dataDir, 'queue.json');
      fs.chmodSync(queue, 0o400);
      assert.equal((await report(store)).ok, true);
      assert.equal(fs.statSync(queue).mode & 0o777, 0o400);
    },
    aboutFiles,
  );

  storeTest('tells of a link or a directory where a file should be, and leaves that to a hand', async (store) => {
    await store.ok('enqueue', 'true');
    const log = join(store.dataDir, 'logs');
    fs.mkdirSync(log, { recursive: true, mode: 0o700 });
    fs.symlinkSync('/dev/null', join(log, 'x.log'));
    const { checks } = await report(store, '--fix');
    const { fact, remedy } = checks.find(({ check }) => check === 'ownership') as Finding; // every check is listed
    assert.match(fact, /logs\/x\.log is no file$/);
    assert.equal(remedy, 'Put that right by hand.');
  });

  storeTest(
    'leaves alone a directory that is no queue',
    async (store) => {
      fs.mkdirSync(join(store.dataDir, 'logs'), { recursive: true, mode: 0o755 });
      fs.writeFileSync(join(store.dataDir, 'logs/app.log'), 'x');
      fs.writeFileSync(join(store.dataDir, 'queue.json'), '{}');
      const before = everything(store);
      const { checks } = await report(store, '--fix');
      assert.deepEqual(
        checks
          .filter(({ check }) => check !== 'clock' && check !== 'workers')
          .map(({ check, state }) => [check, state]),
        [['data directory', 'wrong']],
      );
      assert.deepEqual(everything(store), before);
      fs.rmSync(store.dataDir, { recursive: true });
    },
    aboutFiles,
  );

  storeTest(
    'tells of a journal that is gone',
    async (store) => {
      await store.enqueue({ id: 'a', command: 'true' });
      fs.rmSync(join(store.dataDir, 'journal.ndjson'));
      await mends(store, 'journal.ndjson');
      assert.deepEqual(
        store.queue().map(({ id }) => id),
        ['a'],
      );
    },
    aboutFiles,
  );

  storeTest(
    'tells of what it cannot use, and goes on with the rest',
    async (store) => {
      await store.ok('enqueue', '--id', 'a', 'true');
      const path = (name: string) => join(store.dataDir, name);
      for (const name of ['config.json', 'queue.json', 'lock']) fs.renameSync(path(name), path(`${name}.away`));
      for (const name of ['config.json', 'queue.json']) fs.mkdirSync(path(name), { mode: 0o700 });
      fs.writeFileSync(path('lock'), '', { mode: 0o600 });
      const { checks } = await report(store, '--fix');
      assert.deepEqual(
        checks.filter(({ state }) => state === 'wrong').map(({ check, fact }) => `${check}: ${fact}`),
        [
          `ownership: ${['queue.json', 'config.json', 'lock'].map((name) => `${path(name)} is no ${name === 'lock' ? 'directory' : 'file'}`).join('; ')}`,
          `config.json: cannot read ${path('config.json')}: is a directory`,
          `queue.json: cannot read ${path('queue.json')}: is a directory`,
          'lock: cannot use the lock: not a directory',
        ],
      );
      for (const name of ['config.json', 'queue.json', 'lock']) {
        fs.rmSync(path(name), { recursive: true });
        fs.renameSync(path(`${name}.away`), path(name));
      }
      assert.equal((await report(store)).ok, true);
      fs.renameSync(store.dataDir, `${store.dataDir}.away`);
      fs.writeFileSync(store.dataDir, '');
      assert.deepEqual(findings(await report(store)), ['data directory: wrong']);
      fs.rmSync(store.dataDir);
      fs.renameSync(`${store.dataDir}.away`, store.dataDir);
    },
    aboutFiles,
  );

  storeTest('tells of a setting that has no effect, and of a clock that was set back', async (store) => {
    await store.ok('config-set', 'max_retries', '1');
    store.shelf.putSetting('max_retrys', 1);
    await store.enqueue({ id: 'a', command: 'true' });
    store.shelf.putJob({ ...store.job('a'), updated_at: Date.now() + 3_600_000 });
    const settings = byKind({ file: 'config.json', sqlite: 'settings' });
    assert.deepEqual(findings(await report(store, '--fix')), [`${settings}: wrong`, 'clock: wrong']);
  });

  storeTest('writes what a crash has left in the journal, when told to fix', async (store) => {
    await store.enqueue({ id: 'a', command: store.endless });
    await store.startWorkers();
    await waitFor(() => store.endlessProcesses().length === 3);
    const own = store.processes();
    for (const { pid } of own) process.kill(pid, 'SIGSTOP'); // so that nobody folds the commit that follows
    await store.ok('enqueue', '--id', 'b', 'true');
    for (const { pid } of own) process.kill(pid, 'SIGKILL');
    await waitFor(() => store.processes().length === 0);
    await report(store);
    assert.equal(store.shelf.isAtRest(), false);
    assert.deepEqual(findings(await report(store, '--fix')), ['workers: fixed']);
    store.assertAtRest();
  });
});
