/** The library: where its queue is. What a queue does is in the tests of the queue manager and the contract. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { openQueue, type QueuePlace } from '../../core/index.js';
import { runCli } from '../helpers/runCli.js';
import { sqliteMissing } from '../helpers/sqliteTest.js';
import { tempStore } from '../helpers/tempStore.js';

/** Adds a job as a program does. @returns the ids that a command line sees there */
async function addAndList(place: QueuePlace, ...flags: string[]): Promise<string[]> {
  const queue = openQueue(place);
  assert.equal((await queue.enqueue({ id: 'a', command: 'true' })).state, 'pending');
  assert.equal((await queue.get('a'))?.command, 'true');
  await queue.close();
  const { stdout, stderr } = await runCli(['list', ...flags], { dataDir: tempStore() });
  assert.equal(stderr, '');
  return JSON.parse(stdout).map(({ id }: { id: string }) => id);
}

test('a directory is that of --data-dir, and an address that of --store', async () => {
  const [first, second, third] = [tempStore(), tempStore(), tempStore()];
  assert.deepEqual(await addAndList({ dataDir: first }, '--data-dir', first), ['a']);
  assert.deepEqual(await addAndList({ store: `file:${second}` }, '--store', `file:${second}`), ['a']);
  assert.deepEqual(await addAndList({ store: relative(process.cwd(), third) }, '--store', third), ['a']);
});

test('an address may be that of an SQLite file', { skip: sqliteMissing }, async () => {
  const path = join(tempStore(), 'queue.db');
  const address = `sqlite:${path}`;
  assert.deepEqual(await addAndList({ store: address }, '--store', address), ['a']);
  assert.ok(existsSync(path));
});

const [EITHER, ADDRESSES] = ['Give { dataDir } or { store }.', 'Give file:/path, or sqlite:/path/queue.db.'];
const BAD: [place: unknown, fact: string, remedy: string][] = [
  [undefined, 'openQueue needs to know where the queue is', EITHER],
  [{}, 'openQueue needs to know where the queue is', EITHER],
  [{ dataDir: '' }, 'openQueue: dataDir must be a string that is not empty', 'Correct it.'],
  [{ store: 3 }, 'openQueue: store must be a string that is not empty', 'Correct it.'],
  [{ store: 'file:/a', dataDir: '/a' }, 'openQueue: dataDir and store exclude each other', 'Give one of them.'],
  [
    { dataDir: 'sqlite:/a.db' },
    'openQueue: dataDir is a directory, and this is an address (sqlite:)',
    'Give { store: "sqlite:/a.db" }.',
  ],
  [{ dataDir: 'a\0' }, 'openQueue: dataDir: a path has no NUL character', 'Give a directory.'],
  [{ store: 'a\0' }, 'openQueue: store: a path has no NUL character', ADDRESSES],
  [{ store: 'redis://:secret@host' }, 'openQueue: store: unknown kind of store "redis"', ADDRESSES],
  [{ store: 'postgres://me:secret@host' }, 'openQueue: store: this version has no PostgreSQL store', ADDRESSES],
  [{ store: 'sqlite::memory:' }, 'openQueue: store: a store in memory would be gone with the program', ADDRESSES],
  [
    { store: `/nowhere/${'a'.repeat(100)}.db` },
    `openQueue: store: a path alone is that of a directory, and this is a file's`,
    `Give { store: "sqlite:/nowhere/${'a'.repeat(100)}.db" }.`,
  ],
];
for (const [place, fact, remedy] of BAD) {
  test(`a bad place is refused: ${JSON.stringify(place)?.slice(0, 60)}`, () => {
    const open = openQueue as (place: unknown) => unknown; // as a program without types does
    assert.throws(() => open(place), { name: 'QueuectlError', code: 'INVALID', fact, remedy });
  });
}
