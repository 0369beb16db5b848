/** What is damaged stops the command with the file's name and the place, and is not touched; what a hand edited is taken. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { examine, type Finding } from '../../../../core/doctor.js';
import { storePaths } from '../../../../db/stores/file/paths.js';
import { salvage } from '../../../../db/stores/file/salvage.js';
import { deadEntry, pendingJob, processingJob, T0 } from '../../../helpers/jobFactory.js';
import { PROGRAM } from '../../../helpers/runCli.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { BESIDE_WORKERS, fileStore } from '../../../helpers/testStore.js';
import { foldingStore } from './foldingStore.js';
import { names, onFsCall } from './fsCalls.js';
import { contentsOf } from './steps.js';

/** A store at rest with two jobs and two dead ones; or with three more commits in its journal, as a crash leaves it. */
async function newStore({ atRest = true } = {}): Promise<string> {
  const dir = tempStore();
  const store = fileStore(dir);
  await store.transaction(async ({ jobs, dlq }) => {
    for (const id of ['x', 'y']) {
      await jobs.createJob(pendingJob({ id }));
      const claimed = await jobs.claimNext('w', T0);
      assert.ok(claimed !== undefined);
      await dlq.moveToDLQ(claimed, 'exit code 1', T0);
    }
    for (const id of ['a', 'b']) await jobs.createJob(pendingJob({ id }));
  });
  await store.close();
  if (!atRest) {
    const crashed = fileStore(dir, BESIDE_WORKERS);
    for (const id of ['c', 'd', 'e']) await crashed.jobs.createJob(pendingJob({ id, created_at: T0 + 1 }));
  }
  return dir;
}

const FILES = ['queue.json', 'dlq.json', 'config.json', 'journal.ndjson'] as const;
type File = (typeof FILES)[number];

function filesOf(dir: string): Record<string, string | undefined> {
  return Object.fromEntries(
    FILES.map((file) => [file, fs.existsSync(join(dir, file)) ? fs.readFileSync(join(dir, file), 'utf8') : undefined]),
  );
}

const array = (...records: unknown[]) => JSON.stringify(records);
const job = pendingJob({ id: 'a' });

type Damage = [what: string, file: File, content: string | ((whole: string) => string), fault: RegExp];
const truncated: [what: string, content: string | ((whole: string) => string)][] = [
  ['truncated', (whole) => whole.slice(0, -10)],
  ['garbage', '\u0001\u0002 garbage'],
  ['empty', ''],
];
const DAMAGES: Damage[] = [
  ...(['queue.json', 'dlq.json', 'config.json'] as const).flatMap((file) =>
    truncated.map(([what, content]): Damage => [what, file, content, /it is not JSON \(line \d+, column \d+\)$/]),
  ),
  ['no array', 'queue.json', '{}', /it is not a JSON array$/],
  ['null', 'dlq.json', 'null', /it is not a JSON array$/],
  ['an array', 'config.json', '[]', /it is not a JSON object$/],
  ['an element that is no job', 'queue.json', array(job, 7), /element 2: not an object$/],
  ['a job without a field', 'queue.json', array({ ...job, run_at: undefined }), /element 1: "run_at" is missing$/],
  [
    'a field of another type',
    'queue.json',
    array({ ...job, attempts: '1' }),
    /element 1: "attempts" must be an integer/,
  ],
  ['an unknown state', 'queue.json', array({ ...job, state: 'dead' }), /element 1: "state" must be one of pending, /],
  ['a held job without a worker', 'queue.json', array({ ...processingJob(), worker_id: null }), /needs "worker_id"/],
  ['a waiting job with a worker', 'queue.json', array({ ...job, worker_id: 'w' }), /"worker_id" must be null/],
  ['an id twice', 'queue.json', array(job, pendingJob({ id: 'b' }), job), /element 3: the id "a" occurs twice$/],
  [
    'an id twice',
    'dlq.json',
    array(deadEntry({ id: 'x' }), deadEntry({ id: 'x' })),
    /element 2: the id "x" occurs twice$/,
  ],
  [
    'a dead job without a field',
    'dlq.json',
    array({ ...deadEntry(), error: null }),
    /element 1: "error" must be a string$/,
  ],
  ['an id of the queue', 'dlq.json', array(deadEntry({ id: 'b' })), /the id "b" is in the queue too$/],
  ['a setting out of range', 'config.json', '{"max_retries":-1}', /"max_retries" must be an integer from 0 to 1000$/],
  [
    'a setting of another type',
    'config.json',
    '{"backoff_base":"2"}',
    /"backoff_base" must be a number from 1 to 3600$/,
  ],
];

describe('a file that cannot be trusted', () => {
  for (const [what, file, content, fault] of DAMAGES) {
    test(`${file}: ${what}`, async () => {
      const dir = await newStore();
      const path = join(dir, file);
      fs.writeFileSync(path, typeof content === 'string' ? content : content(fs.readFileSync(path, 'utf8')));
      await refused(dir, file, fault);
    });
  }

  const journalDamages: [what: string, change: (whole: string) => string, fault: RegExp][] = [
    ['empty', () => '', /its first line is no header$/],
    ['garbage', () => 'garbage\n', /its first line is no header$/],
    ['without its first line', (whole) => whole.replace(/^.*\n/, ''), /its first line is no header$/],
    [
      'without a line in the middle',
      (whole) => whole.replace(/.*"id":"d".*\n/, ''),
      /stands commit 5 where 4 should be$/,
    ],
    ['with a changed byte in the middle', (whole) => whole.replace('"d"', '"d'), /stands commit 5 where 4 should be$/],
    [
      'with a commit that says nothing',
      (whole) => whole.replace('"queue":{"put"', '"queve":{"put"'),
      /there is neither "queue" nor "dlq"$/,
    ],
    ['with a job that is none', (whole) => whole.replace('"pending"', '"waiting"'), /"state" must be one of/],
  ];
  for (const [what, change, fault] of journalDamages) {
    test(`journal.ndjson: ${what}`, async () => {
      const dir = await newStore({ atRest: false });
      const path = join(dir, 'journal.ndjson');
      fs.writeFileSync(path, change(fs.readFileSync(path, 'utf8')));
      await refused(dir, 'journal.ndjson', fault);
    });
  }

  test('journal.ndjson: of a newer version', async () => {
    const dir = await newStore({ atRest: false });
    const path = join(dir, 'journal.ndjson');
    fs.writeFileSync(path, fs.readFileSync(path, 'utf8').replace('"journal":1', '"journal":2'));
    const fact = `${path} has version 2, and this queuectl reads version 1`;
    await assert.rejects(fileStore(dir).jobs.listJobs(), {
      code: 'DAMAGED',
      message: `${fact}. Use the newer queuectl that wrote it.`,
    });
  });

  for (const file of ['queue.json', 'dlq.json'] as const) {
    test(`${file}: edited while the journal has commits`, async () => {
      const dir = await newStore({ atRest: false });
      fs.writeFileSync(join(dir, file), '[]\n');
      await refused(dir, file, /it is not the file that .*\/journal\.ndjson continues$/);
    });

    test(`${file}: deleted while the journal has commits`, async () => {
      const dir = await newStore({ atRest: false });
      fs.rmSync(join(dir, file));
      await refused(dir, file, /it is gone, and was the file that .*\/journal\.ndjson continues$/);
    });
  }
});

/** Every way into the damaged file is refused, by a new handle and by one that was open before; nothing is changed. */
async function refused(dir: string, file: File, fault: RegExp): Promise<void> {
  const before = filesOf(dir);
  const isDamaged = (error: unknown) => {
    assert.ok(error instanceof Error && 'code' in error && 'fact' in error);
    assert.equal(error.code, 'DAMAGED');
    assert.ok(String(error.fact).startsWith(`${join(dir, file)} is damaged: `), error.message);
    assert.match(String(error.fact), fault);
    assert.match(error.message, /\. `queuectl doctor` tells more, and can repair it\.$/);
    return true;
  };
  const store = fileStore(dir);
  const ways =
    file === 'config.json'
      ? [() => store.config.getAllConfig(), () => store.config.setConfig('max_retries', 1)]
      : [
          () => store.jobs.listJobs(),
          () => store.dlq.listDLQ(),
          () => store.jobs.createJob(pendingJob({ id: 'new' })),
          () => store.jobs.claimNext('w', T0),
        ];
  for (const way of ways) await assert.rejects(way(), isDamaged);
  await store.close();
  assert.deepEqual(filesOf(dir), before);
  assert.deepEqual(
    fs.readdirSync(dir).filter((name) => !FILES.some((known) => known === name)),
    ['lock'],
  );
  await mended(dir, file, before);
}

/** The doctor tells of it and changes nothing; told to fix it, it keeps what was there, and the store opens. */
async function mended(dir: string, file: File, before: Record<string, string | undefined>): Promise<void> {
  const told = await findingsOf(dir, { fix: false });
  assert.deepEqual(
    told.filter(({ state }) => state !== 'ok').map(({ check }) => check),
    [file],
    JSON.stringify(told),
  );
  assert.deepEqual(filesOf(dir), before);
  const fixed = await findingsOf(dir, { fix: true });
  assert.deepEqual(
    fixed.filter(({ state }) => state !== 'ok').map(({ check, state }) => ({ check, state })),
    [{ check: file, state: 'fixed' }],
  );
  const [moment = ''] = fs.readdirSync(join(dir, 'replaced'));
  assert.equal(filesOf(join(dir, 'replaced', moment))[file], before[file]);
  assert.ok((await findingsOf(dir, { fix: false })).every(({ state }) => state === 'ok'));
  const store = fileStore(dir);
  await store.jobs.createJob(pendingJob({ id: 'after' }));
  await store.close();
  assert.ok((await contentsOf(fileStore(dir))).jobs.some(({ id }) => id === 'after'));
}

async function findingsOf(dir: string, options: { fix: boolean }): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const finding of examine({ kind: 'file', dir: dir }, options)) findings.push(finding);
  return findings;
}

describe('the doctor keeps', () => {
  const ids = async (dir: string) => {
    await findingsOf(dir, { fix: true });
    const { jobs, dead } = await contentsOf(fileStore(dir));
    return { jobs: jobs.map(({ id }) => id), dead: dead.map(({ id }) => id) };
  };
  const edit = (dir: string, file: File, change: (text: string) => string | Buffer) =>
    fs.writeFileSync(join(dir, file), change(fs.readFileSync(join(dir, file), 'utf8')));

  test('every job but the one whose line is damaged', async () => {
    const cases: ((line: string) => string | Buffer)[] = [
      (line) => line.slice(0, 40),
      (line) => line.replace('"command":"', '"command":'),
      (line) => line.replace('"pending"', '"waiting"'),
      (line) => line.replace('{', ''),
      (line) => line.replace('}', ''),
      () => 'garbage',
      () => '{{{',
      () => '"',
    ];
    for (const damage of cases) {
      const dir = await newStore();
      edit(dir, 'queue.json', (text) => text.replace(/^\{"id":"a".*$/m, (line) => String(damage(line))));
      assert.deepEqual(await ids(dir), { jobs: ['b'], dead: ['x', 'y'] }, String(damage));
    }
    const dir = await newStore();
    edit(dir, 'queue.json', (text) => Buffer.from(text.replace('true', '\u00ff'), 'latin1'));
    assert.deepEqual(await ids(dir), { jobs: ['b'], dead: ['x', 'y'] }, 'not UTF-8');
  });

  test('what stands behind an object that is damaged on the same line', async () => {
    const dir = await newStore();
    edit(dir, 'queue.json', (text) => JSON.stringify(JSON.parse(text)).replace('"id":"a"', '"id":a"'));
    assert.deepEqual(await ids(dir), { jobs: ['b'], dead: ['x', 'y'] });
  });

  test('a job whose command has a replacement character, beside one that is not UTF-8', async () => {
    const dir = tempStore();
    const store = fileStore(dir);
    await store.jobs.createJob(pendingJob({ id: 'good', command: 'echo \ufffd' }));
    await store.jobs.createJob(pendingJob({ id: 'bad', command: 'echo ?' }));
    await store.close();
    const text = fs.readFileSync(join(dir, 'queue.json'), 'utf8');
    const [before = '', after = ''] = text.split('?');
    fs.writeFileSync(
      join(dir, 'queue.json'),
      Buffer.concat([Buffer.from(before), Buffer.of(0xff), Buffer.from(after)]),
    );
    assert.deepEqual(await ids(dir), { jobs: ['good'], dead: [] });
  });

  test('a long queue of which every line is damaged, in seconds', async () => {
    const dir = await newStore();
    const lines = Array.from({ length: 5000 }, (_, at) => JSON.stringify(pendingJob({ id: `job-${at}` })).slice(0, -1));
    edit(dir, 'queue.json', () => `[\n${lines.join(',\n')}\n]\n`);
    const began = performance.now();
    assert.deepEqual(await ids(dir), { jobs: [], dead: ['x', 'y'] });
    assert.ok(performance.now() - began < 10_000);
  });

  test("a job that was changed later than in the journal, which is another snapshot's", async () => {
    const dir = await newStore({ atRest: false });
    edit(dir, 'queue.json', () => array(pendingJob({ id: 'c', updated_at: T0 + 99, command: 'later' })));
    assert.deepEqual((await ids(dir)).jobs, ['c', 'd', 'e']);
    assert.equal((await fileStore(dir).jobs.getJob('c'))?.command, 'later');
  });

  test('what a file has that is laid out in another way', async () => {
    for (const layout of [(jobs: unknown) => JSON.stringify(jobs, null, 2), (jobs: unknown) => JSON.stringify(jobs)]) {
      const dir = await newStore();
      edit(dir, 'queue.json', (text) => layout(JSON.parse(text)).slice(0, -5));
      assert.deepEqual(await ids(dir), { jobs: ['a'], dead: ['x', 'y'] });
    }
  });

  test('a command with braces, quotes, backslashes and newlines as it is', async () => {
    const dir = tempStore();
    const store = fileStore(dir);
    const command = 'echo "}{" \'\\\' "{\n{"; # \u2028 \\"';
    await store.jobs.createJob(pendingJob({ id: 'odd', command }));
    await store.jobs.createJob(pendingJob({ id: 'lost' }));
    await store.close();
    edit(dir, 'queue.json', (text) => text.slice(0, -10));
    assert.deepEqual(await ids(dir), { jobs: ['odd'], dead: [] });
    assert.equal((await fileStore(dir).jobs.getJob('odd'))?.command, command);
  });

  test('of two jobs with one id the one that was changed last', async () => {
    const dir = await newStore();
    const [older, newer] = [pendingJob({ id: 'a', command: 'old' }), pendingJob({ id: 'a', updated_at: T0 + 1 })];
    edit(dir, 'queue.json', () => array(newer, older));
    assert.deepEqual(await ids(dir), { jobs: ['a'], dead: ['x', 'y'] });
    assert.equal((await fileStore(dir).jobs.getJob('a'))?.command, newer.command);
  });

  test('of a job that is in both files the one that was changed last', async () => {
    for (const [updated_at, kept] of [
      [T0 - 1, { jobs: [], dead: ['x'] }],
      [T0 + 1, { jobs: ['x'], dead: [] }],
    ] as const) {
      const dir = await newStore();
      edit(dir, 'queue.json', () => array(pendingJob({ id: 'x', updated_at })));
      edit(dir, 'dlq.json', () => array(deadEntry({ id: 'x' })));
      assert.deepEqual(await ids(dir), kept);
    }
  });

  test('every commit of a journal that can be read, a gap or not', async () => {
    const cases: [change: (whole: string) => string, jobs: string[]][] = [
      [() => '', ['a', 'b']],
      [(whole) => whole.replace(/^.*\n/, ''), ['a', 'b', 'c', 'd', 'e']],
      [(whole) => whole.replace(/.*"id":"d".*\n/, ''), ['a', 'b', 'c', 'e']],
      [(whole) => whole.replace('"pending"', '"waiting"'), ['a', 'b', 'd', 'e']],
    ];
    for (const [change, jobs] of cases) {
      const dir = await newStore({ atRest: false });
      edit(dir, 'journal.ndjson', change);
      assert.deepEqual(await ids(dir), { jobs, dead: ['x', 'y'] }, String(change));
    }
  });

  test('both a snapshot that was put there and the changes of the journal', async () => {
    const dir = await newStore({ atRest: false });
    edit(dir, 'queue.json', () => array(pendingJob({ id: 'other' })));
    assert.deepEqual(await ids(dir), { jobs: ['other', 'c', 'd', 'e'], dead: ['x', 'y'] });
  });

  test('jobs that a fold cut short has added, also for those who have followed the journal before', async () => {
    const dir = await newStore();
    const [store, follower] = [fileStore(dir), fileStore(dir)];
    await follower.jobs.listJobs();
    const end = onFsCall((call) => {
      if (call.name !== 'renameSync' || !names(call, 'journal.ndjson')) return undefined;
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    });
    try {
      await store.jobs.createJob(pendingJob({ id: 'c', created_at: T0 + 1 }));
    } finally {
      end();
    }
    edit(dir, 'dlq.json', (whole) => whole.slice(0, -10));
    assert.deepEqual((await ids(dir)).jobs, ['a', 'b', 'c']);
    assert.equal((await follower.jobs.getJob('c'))?.id, 'c');
  });

  test('the settings that are right, and those it does not know', async () => {
    const dir = await newStore();
    edit(dir, 'config.json', () => '{"max_retries":-1,"kill_grace":9,"later":{"a":1},"__proto__":2}');
    await findingsOf(dir, { fix: true });
    const settings = JSON.parse(fs.readFileSync(join(dir, 'config.json'), 'utf8'));
    assert.equal(settings.max_retries, 3);
    assert.equal(settings.kill_grace, 9);
    assert.deepEqual(settings.later, { a: 1 });
    assert.ok(Object.hasOwn(settings, '__proto__'));
  });

  test('everything of a newer version', async () => {
    const dir = await newStore({ atRest: false });
    edit(dir, 'journal.ndjson', (text) => text.replace('"journal":1', '"journal":2'));
    const before = filesOf(dir);
    const wrong = (await findingsOf(dir, { fix: true })).filter(({ state }) => state !== 'ok');
    assert.deepEqual(
      wrong.map(({ check, state, remedy }) => ({ check, state, remedy })),
      [{ check: 'journal.ndjson', state: 'wrong', remedy: 'Use the newer queuectl that wrote it.' }],
    );
    assert.deepEqual(filesOf(dir), before);
  });

  for (const [what, file, harm] of [
    ['a line of the queue', 'queue.json', (text: string) => text.slice(0, -30)],
    ['the first line of the journal', 'journal.ndjson', (text: string) => text.replace('{', '#')],
    ['all of the journal', 'journal.ndjson', (text: string) => `${'#'.repeat(text.length - 1)}\n`],
  ] as const) {
    test(`what a process commits that was stopped meanwhile, and lost the lock (damaged: ${what})`, async () => {
      const dir = await newStore();
      const sleeper = fileStore(dir, BESIDE_WORKERS);
      await sleeper.jobs.listJobs();
      const end = onFsCall(({ name, args }) => {
        if (name !== 'writeSync' || !String(args[1]).includes('"put"')) return undefined;
        end(); // it sleeps now, about to append its commit
        edit(dir, file, harm);
        fs.rmSync(join(dir, 'lock/store'));
        execFileSync(process.execPath, [PROGRAM, 'doctor', '--fix', '--data-dir', dir]);
        return undefined;
      });
      await sleeper.jobs.createJob(pendingJob({ id: 'acknowledged', created_at: T0 + 1 }));
      await sleeper.close();
      const { jobs } = await contentsOf(fileStore(dir));
      for (const id of ['a', 'acknowledged'])
        assert.ok(
          jobs.some((job) => job.id === id),
          id,
        );
    });
  }

  test('a store in use as it is in use: open handles go on', async () => {
    const dir = await newStore();
    const open = fileStore(dir, BESIDE_WORKERS);
    await open.jobs.createJob(pendingJob({ id: 'c', created_at: T0 + 1 }));
    const reader = fileStore(dir);
    await reader.jobs.listJobs();
    edit(dir, 'queue.json', (text) => text.slice(0, -30));
    await assert.rejects(open.jobs.createJob(pendingJob({ id: 'd' })), { code: 'DAMAGED' });
    assert.deepEqual((await ids(dir)).jobs, ['a', 'c']);
    assert.deepEqual(
      (await reader.jobs.listJobs()).map(({ id }) => id),
      ['a', 'c'],
    );
    await open.jobs.createJob(pendingJob({ id: 'd', created_at: T0 + 2 }));
    assert.deepEqual(
      (await open.jobs.listJobs()).map(({ id }) => id),
      ['a', 'c', 'd'],
    );
    await open.close();
  });
});

describe('a file edited by hand at rest', () => {
  const edits: [what: string, edit: (path: string) => void][] = [
    ['pretty-printed', (path) => rewrite(path, (jobs) => JSON.stringify(jobs, null, 2))],
    ['in one line, with a newline at its end', (path) => rewrite(path, (jobs) => `${JSON.stringify(jobs)}\n`)],
    ['replaced by a copy', (path) => replace(path, (jobs) => JSON.stringify(jobs))],
    ['only touched', (path) => fs.utimesSync(path, 1, 1)],
  ];
  test('it is taken also by those who followed the journal before, and look again only after others have gone on', async () => {
    const dir = await newStore();
    const follower = fileStore(dir);
    await follower.jobs.listJobs();
    rewrite(join(dir, 'queue.json'), () => array(pendingJob({ id: 'b' })));
    const other = fileStore(dir, BESIDE_WORKERS);
    await other.jobs.createJob(pendingJob({ id: 'c', created_at: T0 + 1 }));
    assert.deepEqual(
      (await follower.jobs.listJobs()).map(({ id }) => id),
      ['b', 'c'],
    );
    await other.close();
    await follower.close();
  });

  for (const [what, edit] of edits) {
    test(`${what}, it is taken and written anew with the next change`, async () => {
      const dir = await newStore();
      const path = join(dir, 'queue.json');
      const open = fileStore(dir);
      const { jobs } = await contentsOf(open);
      edit(path);
      const edited = fs.readFileSync(path, 'utf8');
      for (const handle of [open, fileStore(dir)]) assert.deepEqual((await contentsOf(handle)).jobs, jobs);
      assert.equal(fs.readFileSync(path, 'utf8'), edited);
      const job = pendingJob({ id: 'new', created_at: T0 + 1 });
      await open.jobs.createJob(job);
      await open.close();
      const lines = [...jobs, job].map((one) => JSON.stringify(one));
      assert.equal(fs.readFileSync(path, 'utf8'), `[\n${lines.join(',\n')}\n]\n`);
    });
  }

  test('a job that was added, removed or changed by hand is so for open handles too', async () => {
    const dir = await newStore();
    const open = fileStore(dir);
    assert.equal((await open.jobs.listJobs()).length, 2);
    const changed = [pendingJob({ id: 'b', command: 'echo changed' }), pendingJob({ id: 'hand', priority: 9 })];
    fs.writeFileSync(join(dir, 'queue.json'), JSON.stringify(changed));
    assert.deepEqual(await open.jobs.listJobs(), changed);
    assert.equal((await open.jobs.claimNext('w', T0))?.id, 'hand');
    fs.writeFileSync(join(dir, 'config.json'), '{"max_retries":5}');
    assert.equal(await open.config.getConfig('max_retries'), 5);
    await open.close();
    assert.deepEqual(
      (await contentsOf(fileStore(dir))).jobs.map(({ id }) => id),
      ['b', 'hand'],
    );
  });

  test('a file that was deleted is empty', async () => {
    const dir = await newStore();
    fs.rmSync(join(dir, 'dlq.json'));
    const store = fileStore(dir);
    assert.deepEqual(await store.dlq.listDLQ(), []);
    await store.jobs.createJob(pendingJob({ id: 'x' }));
    await store.close();
    assert.equal(fs.readFileSync(join(dir, 'dlq.json'), 'utf8'), '[]\n');
  });

  test('files without a journal are taken as they are', async () => {
    const dir = await newStore();
    const contents = await contentsOf(fileStore(dir));
    fs.rmSync(join(dir, 'journal.ndjson'));
    const store = fileStore(dir);
    assert.deepEqual(await contentsOf(store), contents);
    await store.jobs.createJob(pendingJob({ id: 'new', created_at: T0 + 9 }));
    await store.close();
    assert.equal((await contentsOf(fileStore(dir))).jobs.length, contents.jobs.length + 1);
  });
});

describe('a backup restored with `cp -a`', () => {
  for (const atRest of [true, false]) {
    test(`opens ${atRest ? 'at rest' : 'with commits in its journal'}, and costs no more than the original`, async () => {
      const original = await newStore({ atRest });
      const contents = await contentsOf(fileStore(original));
      const dir = join(tempStore(), 'restored');
      fs.cpSync(original, dir, { recursive: true, preserveTimestamps: true });
      const { store, fold } = foldingStore(dir);
      assert.deepEqual(await contentsOf(store), contents);
      await store.jobs.createJob(pendingJob({ id: 'new', created_at: T0 + 9 }));
      const opened = await openedBy(async () => {
        await fold();
        await store.jobs.createJob(pendingJob({ id: 'newer', created_at: T0 + 9 }));
      });
      assert.deepEqual(opened, []);
      const { jobs, dead } = await contentsOf(fileStore(dir));
      assert.equal(jobs.length, contents.jobs.length + 2);
      assert.deepEqual(dead, contents.dead);
      assert.equal(await store.close(), undefined);
    });
  }
});

/** The JSON files that are opened while something is done. */
async function openedBy(run: () => Promise<unknown>): Promise<string[]> {
  const opened: string[] = [];
  const end = onFsCall(({ name, args: [path] }) => {
    if (name === 'openSync' && String(path).endsWith('.json')) opened.push(String(path));
    return undefined;
  });
  try {
    await run();
  } finally {
    end();
  }
  return opened;
}

function rewrite(path: string, write: (records: unknown) => string): void {
  fs.writeFileSync(path, write(JSON.parse(fs.readFileSync(path, 'utf8'))));
}

function replace(path: string, write: (records: unknown) => string): void {
  fs.copyFileSync(path, `${path}.edited`);
  rewrite(`${path}.edited`, write);
  fs.renameSync(`${path}.edited`, path);
}

/** So long that each of these files is read in several pieces. */
const LONG_COMMAND = `: ${'x'.repeat(40_000)}`;
const LONG_JOBS = Array.from({ length: 900 }, (_, at) => pendingJob({ id: `job-${at}`, command: LONG_COMMAND }));

describe('of a queue that is long in bytes nothing is lost', () => {
  for (const [what, content, fault] of [
    ['laid out over many lines', JSON.stringify(LONG_JOBS, null, 2), undefined],
    [
      'without its end',
      `[\n${LONG_JOBS.map((job) => JSON.stringify(job)).join(',\n')}`,
      /line 901, column \d+: it ends/,
    ],
    [
      'with something in it',
      JSON.stringify(LONG_JOBS, null, 1).replace('"job-450"', '"job-450" #'),
      /^line \d+: it is/,
    ],
  ] as const) {
    test(what, () => {
      const dir = tempStore();
      fs.writeFileSync(join(dir, 'queue.json'), content);
      const { records, faults } = salvage(storePaths(dir));
      const kept = LONG_JOBS.filter(({ id }) => fault === undefined || what === 'without its end' || id !== 'job-450');
      assert.deepEqual(
        records.listQueue().map(({ id }) => id),
        kept.map(({ id }) => id),
      );
      if (fault === undefined) assert.deepEqual(faults.queue, []);
      else assert.match(faults.queue[0] ?? '', fault);
    });
  }
});
