/** Who can reach into a store: others must not be able to read it, nor to have commands run through it. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openGroupNote } from '../../core/run/groupNote.js';
import { outputFile } from '../../core/run/outputs.js';
import { RunDirectory } from '../../core/run/runDirectory.js';
import { resolveLinks } from '../../db/stores/trust.js';
import { makeToAppend } from '../../utils/files.js';
import { onFsCall } from '../db/stores/file/fsCalls.js';
import { pendingJob } from '../helpers/jobFactory.js';
import { PROGRAM, runCli, withoutAdvice } from '../helpers/runCli.js';
import { tempStore } from '../helpers/tempStore.js';
import { fileStore } from '../helpers/testStore.js';
import { waitFor } from '../helpers/waitFor.js';
import { aboutFiles, byKind, storeTest } from './support.js';

const canUnshare = spawnSync('unshare', ['--mount', 'true']).status === 0;
const notRoot = process.geteuid?.() !== 0 && 'needs root to give files away';

const COMMANDS = [
  ['enqueue', 'true'],
  ['status'],
  ['list'],
  ['config-set', 'max_retries', '1'],
  ['worker-start'],
  ['worker-stop'],
  ['dlq-retry', 'x'],
];

describe('a data directory', { concurrency: 2, skip: aboutFiles ?? false }, () => {
  for (const mode of [0o777, 0o775, 0o757, 0o1777]) {
    test(`of mode ${mode.toString(8)} is refused unless it is trusted`, async () => {
      const dataDir = tempStore();
      fs.chmodSync(dataDir, mode);
      const stderr =
        `queuectl: other users can write to ${dataDir}, and so have commands run as you. ` +
        'Run `chmod go-w` on it, or set QUEUECTL_TRUST_DATA_DIR=1 if you trust them.\n';
      for (const args of COMMANDS) {
        const result = await runCli(args, { dataDir });
        assert.deepEqual({ code: result.code, stderr: result.stderr }, { code: 1, stderr }, args[0]);
      }
      assert.deepEqual(fs.readdirSync(dataDir), []);
      const trusted = await runCli(['enqueue', 'true'], { dataDir, env: { QUEUECTL_TRUST_DATA_DIR: '1' } });
      assert.deepEqual({ code: trusted.code, stderr: withoutAdvice(trusted.stderr) }, { code: 0, stderr: '' });
      const doctor = await runCli(['doctor'], { dataDir, env: { QUEUECTL_TRUST_DATA_DIR: '1' } });
      assert.equal(doctor.code, 0, doctor.stdout);
    });
  }

  test('in which another user has made a file is refused', { skip: notRoot }, async () => {
    for (const name of ['queue.json', 'workers', 'lock', 'logs', 'config.json']) {
      const dataDir = tempStore();
      fs.writeFileSync(join(dataDir, name), '[]');
      fs.chownSync(join(dataDir, name), 12345, 12345);
      const { code, stderr } = await runCli(['worker-start'], { dataDir });
      assert.equal(code, 1);
      assert.ok(stderr.startsWith(`queuectl: ${join(dataDir, name)} belongs to another user (uid 12345), `), stderr);
    }
  });

  test('in which others can write to a file is refused, if they can enter it', async () => {
    const dataDir = tempStore();
    fs.writeFileSync(join(dataDir, 'queue.json'), '[]');
    fs.chmodSync(join(dataDir, 'queue.json'), 0o664);
    assert.equal((await runCli(['status'], { dataDir })).code, 0);
    fs.chmodSync(dataDir, 0o711);
    const { code, stderr } = await runCli(['status'], { dataDir });
    assert.equal(code, 1);
    assert.match(stderr, /^queuectl: other users can write to .*queue\.json, /);
  });

  test('that others can only read is used', async () => {
    const dataDir = tempStore();
    fs.chmodSync(dataDir, 0o755);
    assert.equal((await runCli(['enqueue', 'true'], { dataDir })).code, 0);
    assert.equal(fs.statSync(join(dataDir, 'queue.json')).mode & 0o777, 0o600);
  });

  test('of another user is refused', {
    skip: notRoot,
  }, async () => {
    const dataDir = tempStore();
    fs.chownSync(dataDir, 12345, 12345);
    for (const args of COMMANDS) {
      const { code, stderr } = await runCli(args, { dataDir });
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^queuectl: .* belongs to another user \(uid 12345\), who could have commands run as you\. /,
      );
    }
    const { stdout } = await runCli(['doctor'], { dataDir });
    assert.match(stdout, /^✖ data directory: .* belongs to another user \(uid 12345\)/);
    assert.deepEqual(fs.readdirSync(dataDir), []);
  });
});

describe('the links on a way', { skip: notRoot }, () => {
  const linkTo = (target: string | Buffer, uid: number) => {
    const link = join(tempStore(), 'link');
    fs.symlinkSync(target, link);
    fs.lchownSync(link, uid, uid);
    return link;
  };

  test('are followed where they are of root or of the user', (t) => {
    t.mock.method(process as { geteuid(): number }, 'geteuid', () => 65534); // Node.js for Windows has none
    for (const uid of [0, 65534]) assert.equal(resolveLinks(`${linkTo('/nowhere', uid)}/x`), '/nowhere/x');
    assert.throws(() => resolveLinks(linkTo('/nowhere', 12345)), { fact: /is a link of another user \(uid 12345\)/ });
  });

  test('are refused where they lead to a path that is not UTF-8', () => {
    const link = linkTo(Buffer.from('/caf\xe9', 'latin1'), 0);
    assert.throws(() => resolveLinks(link), { fact: `the link ${link} leads to a path that is not UTF-8` });
  });

  test('are left where they lead to another mount namespace', { skip: !canUnshare && 'needs unshare' }, async (t) => {
    const dir = tempStore();
    const other = spawn('unshare', ['--mount', 'sh', '-c', `mount -t tmpfs tmpfs ${dir} && echo && exec sleep 100`]);
    t.after(() => other.kill());
    await once(other.stdout, 'data');
    const path = `/proc/${other.pid}/root${dir}/data`;
    assert.equal(resolveLinks(path), path);
    assert.equal(resolveLinks(`/proc/self/root${dir}/data`), `${dir}/data`);
  });
});

describe('a link on the way to a store', { concurrency: 2 }, () => {
  for (const uid of [12345, 0]) {
    storeTest(
      `of ${uid === 0 ? 'their own is followed by all commands' : 'another user is refused by all'}`,
      async (store) => {
        const [place, link] = [join(store.root, 'place'), join(store.root, 'link')];
        fs.mkdirSync(place, { mode: 0o700 });
        fs.symlinkSync('place', link);
        fs.lchownSync(link, uid, uid);
        const env = {
          ...byKind<Record<string, string>>({ file: {}, sqlite: { QUEUECTL_STORE: `sqlite:${link}/in/queue.db` } }),
        };
        for (const args of [...COMMANDS, ['doctor']]) {
          const { code, stdout, stderr } = await runCli(args, { dataDir: `${link}/in`, env });
          if (uid === 0) assert.equal(code, args[0] === 'dlq-retry' ? 1 : 0, stderr);
          else {
            assert.equal(code, 1);
            assert.ok(
              `${stdout}${stderr}`.includes(`${link} is a link of another user (uid 12345), who could`),
              stderr,
            );
          }
        }
        assert.equal(fs.existsSync(join(place, 'in')), uid === 0);
      },
      notRoot || undefined,
    );
  }

  storeTest('may be turned elsewhere: who is at work stays where it began', async (store) => {
    const [one, other, link] = ['one', 'other', 'link'].map((name) => join(store.root, name)) as [
      string,
      string,
      string,
    ];
    for (const path of [one, other]) fs.mkdirSync(path, { mode: 0o700 });
    fs.symlinkSync(one, link);
    const at = (place: string) => ({
      dataDir: place,
      env: byKind<Record<string, string>>({ file: {}, sqlite: { QUEUECTL_STORE: `sqlite:${place}/queue.db` } }),
    });
    await runCli(['worker-start'], at(link));
    fs.rmSync(link);
    fs.symlinkSync(other, link);
    await runCli(['enqueue', '--id', 'a', 'echo ${QUEUECTL_STORE:-$QUEUECTL_DATA_DIR}'], at(one));
    await waitFor(async () => JSON.parse((await runCli(['status', '--json'], at(one))).stdout).completed === 1);
    const { stdout } = await runCli(['logs', 'a'], at(one));
    assert.equal(stdout, byKind({ file: `${one}\n`, sqlite: `sqlite:${one}/queue.db\n` }));
    assert.deepEqual(fs.readdirSync(other), []);
    assert.equal((await runCli(['worker-stop'], at(one))).code, 0);
  });
});

test('whatever the umask, every file is made with mode 0600 and every directory with 0700', {
  skip: aboutFiles ?? false,
}, async (t) => {
  const umask = process.umask(0);
  t.after(() => process.umask(umask));
  const dir = join(tempStore(), 'above', 'data');
  const { O_CREAT } = fs.constants;
  const made: unknown[] = [];
  const restore = onFsCall(({ name, args: [path, flags, mode] }) => {
    const creates =
      typeof flags === 'number' ? (flags & O_CREAT) !== 0 : flags === 'w' || flags === 'wx' || flags === 'a';
    if (name === 'openSync' && creates) made.push([path, mode, 0o600]);
    if (name === 'mkdirSync') made.push([path, (flags as { mode: number }).mode, 0o700]);
    return undefined;
  });
  try {
    for (const role of ['worker', 'command'] as const) {
      const store = fileStore(dir, { role });
      await store.jobs.createJob(pendingJob());
      await store.config.setConfig('max_retries', 1);
      const run = new RunDirectory(dir);
      run.enter('w');
      for (const id of ['a', 'a']) fs.closeSync(makeToAppend(outputFile(run.logs, id, 1)));
      fs.closeSync(openGroupNote(run.groupNote('w', 1)));
      fs.closeSync(run.openWorkersLog());
      await store.close();
    }
  } finally {
    restore();
  }
  assert.ok(made.length > 8, String(made));
  for (const [path, mode, wanted] of made as [string, number, number][]) assert.equal(mode, wanted, path);
});

storeTest('under umask 0 workers make nothing that others can read', async (store) => {
  const start = [process.execPath, PROGRAM, 'worker-start'].map((word) => `'${word}'`).join(' ');
  await store.ok('enqueue', '--id', 'a', 'echo secret');
  const { PATH = '' } = process.env;
  const { status } = spawnSync('/bin/sh', ['-c', `umask 0; ${start}`], {
    env: { PATH, HOME: store.root, ...store.env },
  });
  assert.equal(status, 0);
  await waitFor(() => store.queue()[0]?.state === 'completed');
  if (aboutFiles === undefined) await waitFor(() => store.shelf.isAtRest());
  const entries = fs.readdirSync(store.directory, { recursive: true, withFileTypes: true });
  const names = entries.map(({ name }) => name);
  const ofStore = byKind({ file: ['store.file'], sqlite: ['queue.db', 'queue.db-wal', 'queue.db-shm'] });
  for (const name of ['a~1.log', 'workers.log', ...ofStore]) assert.ok(names.includes(name), `${name} among ${names}`);
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    assert.equal(fs.statSync(path).mode & 0o777, entry.isDirectory() ? 0o700 : 0o600, path);
  }
  await store.ok('worker-stop');
});

storeTest('a link in the place of a log leads nobody out of the store', async (store) => {
  const victim = join(store.root, 'victim');
  fs.writeFileSync(victim, 'untouched');
  await store.enqueue({ id: 'a', command: 'echo written', max_retries: 0 }, { id: 'b', command: 'true' });
  fs.mkdirSync(join(store.dataDir, 'logs'), { recursive: true, mode: 0o700 });
  fs.symlinkSync(victim, join(store.dataDir, 'logs/a~1.log'));
  await store.startWorkers();
  await waitFor(() => store.completed() === 2);
  await store.ok('worker-stop');
  assert.equal(fs.readFileSync(victim, 'utf8'), 'untouched');
  assert.equal(await store.ok('logs', 'a'), 'written\n');
  fs.rmSync(join(store.dataDir, 'logs/a~1.log'));
  fs.symlinkSync(victim, join(store.dataDir, 'logs/a~1.log'));
  for (const flags of [[], ['--json']]) {
    const { code, stdout, stderr } = await store.run(['logs', 'a', ...flags]);
    assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
    assert.match(stderr, /logs\/a~1\.log: is a symbolic link(\. |","remedy":")Put a file in the place of the link\./);
  }
});

storeTest(
  'a link in the place of the lock or of the log of the workers is refused',
  async (store) => {
    const victim = join(store.root, 'victim');
    fs.writeFileSync(victim, 'untouched');
    fs.mkdirSync(store.dataDir, { mode: 0o700 });
    for (const folder of ['lock', 'workers']) fs.mkdirSync(join(store.dataDir, folder), { mode: 0o700 });
    fs.symlinkSync(join(store.root, 'elsewhere'), join(store.dataDir, 'lock/store.file'));
    fs.symlinkSync(victim, join(store.dataDir, 'workers/workers.log'));
    const { code, stderr } = await store.run(['worker-start']);
    assert.equal(code, 1);
    assert.match(stderr, /workers\.log: is a symbolic link\. Put a file in the place of the link\.\n$/);
    const enqueue = await store.run(['enqueue', 'true']);
    assert.equal(
      enqueue.stderr,
      `queuectl: cannot lock ${store.dataDir}/lock/store.file: is a symbolic link. Put a file in the place of the link.\n`,
    );
    assert.equal(store.has('elsewhere'), false);
    assert.equal(fs.readFileSync(victim, 'utf8'), 'untouched');
    fs.rmSync(join(store.dataDir, 'lock/store.file'));
    spawnSync('mkfifo', [join(store.dataDir, 'lock/store.file')]);
    const fifo = await store.run(['enqueue', 'true']);
    assert.match(fifo.stderr, /lock\/store\.file: is not a regular file\. Move away what is in its place\.\n$/);
    fs.rmSync(join(store.dataDir, 'lock'), { recursive: true });
    fs.rmSync(join(store.dataDir, 'workers'), { recursive: true });
  },
  aboutFiles,
);
