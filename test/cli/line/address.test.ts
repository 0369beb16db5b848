import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { findPlace, pathOf } from '../../../cli/line/address.js';
import type { Surroundings } from '../../../core/address.js';
import { tempStore } from '../../helpers/tempStore.js';

type Said = Parameters<typeof findPlace>[0];
const INSTALLED = '/nowhere/dist/queuectl.cjs';

const find = (said: Said, env: NodeJS.ProcessEnv, programFile = INSTALLED, more: Partial<Surroundings> = {}) =>
  pathOf(findPlace(said, { env, programFile, ...more }));

test('a flag comes before a variable, a store before a directory, and all before everything else', () => {
  const root = makeClone();
  const program = join(root, 'dist', 'queuectl.cjs');
  const env = { QUEUECTL_STORE: 'file:/store', QUEUECTL_DATA_DIR: '/env', XDG_STATE_HOME: '/xdg' };
  const { QUEUECTL_STORE, ...noStore } = env;
  assert.equal(find({ store: '/s', dataDir: undefined }, env, program), '/s');
  assert.equal(find({ dataDir: '/flag' }, env, program), '/flag');
  assert.equal(find({ dataDir: 'here/' }, env, program), resolve('here'));
  assert.equal(find({}, env, program), '/store');
  assert.equal(find({}, noStore, program), '/env');
  assert.equal(find({}, { QUEUECTL_STORE: '', QUEUECTL_DATA_DIR: '' }, program), join(root, 'db', 'data'));
  assert.throws(() => find({ store: '/s', dataDir: '/d' }, {}), /^QueuectlError: --store and --data-dir exclude/);
});

test('an address says what kind of store it is', () => {
  const root = makeClone();
  const program = join(root, 'dist', 'queuectl.cjs');
  const read = (store: string, programFile = program) =>
    findPlace({ store }, { env: { XDG_STATE_HOME: '/xdg' }, programFile }).address;
  assert.deepEqual(read('/a/b'), { kind: 'file', dir: '/a/b' });
  assert.deepEqual(read('a/b'), { kind: 'file', dir: resolve('a/b') });
  assert.deepEqual(read('./a:b'), { kind: 'file', dir: resolve('a:b') });
  assert.deepEqual(read('file:/a b'), { kind: 'file', dir: '/a b' });
  assert.deepEqual(read('file:///a'), { kind: 'file', dir: '/a' });
  assert.deepEqual(read('file:a'), { kind: 'file', dir: resolve('a') });
  assert.deepEqual(read('sqlite:/a/q.db'), { kind: 'sqlite', path: '/a/q.db' });
  assert.deepEqual(read('sqlite:///a/q.db'), { kind: 'sqlite', path: '/a/q.db' });
  assert.deepEqual(read('SQLite:q.db'), { kind: 'sqlite', path: resolve('q.db') });
  assert.deepEqual(read('sqlite:'), { kind: 'sqlite', path: join(root, 'db', 'data', 'queue.db') });
  assert.deepEqual(read('sqlite:', INSTALLED), { kind: 'sqlite', path: '/xdg/queuectl/queue.db' });
});

test('another store is refused, and no password is repeated', () => {
  for (const [address, says] of [
    ['postgres://me:secret@host/db', 'this version has no PostgreSQL store'],
    ['postgresql://me:secret@host/db', 'this version has no PostgreSQL store'],
    ['mongodb://me:secret@host/db', 'this version has no MongoDB store'],
    ['mongodb+srv://me:secret@host/db', 'this version has no MongoDB store'],
    ['redis://:secret@host', 'unknown kind of store "redis"'],
    ['file:', 'it names no directory'],
    ['sqlite://secret/queue.db', 'a store in a file is on no other host'],
  ] as const) {
    const remedy = 'Give file:/path, or sqlite:/path/queue.db.';
    const of = (source: string) => ({ code: 'USAGE', fact: `${source}: ${says}`, remedy });
    assert.throws(() => find({ store: address }, {}), of('--store'));
    assert.throws(() => find({}, { QUEUECTL_STORE: address }), of('$QUEUECTL_STORE'));
  }
});

test('an address is no directory, a file is no address, and the remedy says what is', () => {
  const root = makeClone();
  const file = join(root, 'tsconfig.json');
  mkdirSync(join(root, 'dir.db'));
  assert.equal(find({ store: join(root, 'dir.db') }, {}), join(root, 'dir.db'));
  for (const path of ['/nowhere/queue.db', '/nowhere/a.sqlite', '/nowhere/a.sqlite3', file]) {
    const refused = (remedy: string) => ({ code: 'USAGE', remedy });
    assert.throws(() => find({ store: path }, {}), refused(`Give --store sqlite:${path}.`));
    assert.throws(() => find({}, { QUEUECTL_STORE: path }), refused(`Give QUEUECTL_STORE=sqlite:${path}.`));
  }
  for (const address of ['sqlite:/x', 'file:/x']) {
    assert.throws(() => find({ dataDir: address }, {}), { code: 'USAGE', remedy: `Give --store ${address}.` });
    assert.throws(() => find({}, { QUEUECTL_DATA_DIR: address }), { remedy: `Give QUEUECTL_STORE=${address}.` });
  }
  for (const address of ['postgres://me:secret@host/db', 'mongodb://me:secret@host/db']) {
    const remedy = 'Give a directory, or --store sqlite:/path/queue.db.';
    assert.throws(() => find({ dataDir: address }, {}), { code: 'USAGE', remedy });
    assert.throws(
      () => find({ dataDir: address }, {}),
      (error) => !String(error).includes('secret'),
    );
  }
  assert.equal(find({ dataDir: '/a:b' }, {}), '/a:b');
  assert.throws(() => find({ store: 'sqlite::memory:' }, {}), /a store in memory would be gone with the program/);
});

test('a place knows how another command line names it, and whether somebody chose it', () => {
  const place = (said: Said, env: NodeJS.ProcessEnv) => {
    const { flags, isNamed } = findPlace(said, { env, programFile: INSTALLED });
    return [...flags, isNamed];
  };
  assert.deepEqual(place({ store: 'file:a b' }, {}), ['--store', 'file:a b', true]);
  assert.deepEqual(place({ dataDir: 'here' }, {}), ['--data-dir', 'here', true]);
  assert.deepEqual(place({}, { QUEUECTL_DATA_DIR: '/d' }), [true]);
  assert.deepEqual(place({}, { QUEUECTL_STORE: '/d' }), [true]);
  assert.deepEqual(place({}, { HOME: '/home/me' }), [false]);
});

test('a clone keeps its queue in db/data', () => {
  const root = makeClone();
  const env = { XDG_STATE_HOME: '/xdg' };
  for (const program of ['dist/queuectl.cjs', 'cli/bin/queuectl.ts']) {
    assert.equal(find({}, env, join(root, program)), join(root, 'db', 'data'), program);
  }
  for (const elsewhere of [
    'queuectl.cjs',
    'tools/queuectl.cjs',
    'tools/bin/queuectl.cjs',
    'dist/cli/bin/queuectl.cjs',
    'node_modules/q/dist/queuectl.cjs',
  ]) {
    assert.equal(find({}, env, join(root, elsewhere)), '/xdg/queuectl', elsewhere);
  }
});

test('an installed package uses the state directory of the user', () => {
  const atHome = '/home/me/.local/state/queuectl';
  const HOME = '/home/me';
  assert.equal(find({}, { HOME, XDG_STATE_HOME: '/xdg' }), '/xdg/queuectl');
  assert.equal(find({}, { HOME }), atHome);
  assert.equal(find({}, { HOME, XDG_STATE_HOME: '' }), atHome);
  assert.equal(find({}, { HOME, XDG_STATE_HOME: 'relative' }), atHome);
});

test('where no variable names a home, the system does; where it does not either, that is said', () => {
  const known = join(userInfo().homedir, '.local', 'state', 'queuectl');
  for (const env of [{}, { HOME: '' }, { HOME: 'relative' }]) {
    assert.equal(find({}, env), known);
    const unknown = () => {
      throw Object.assign(new Error('ENOENT'), { code: 'ERR_SYSTEM_ERROR' });
    };
    for (const userHome of [unknown, () => '']) {
      assert.throws(() => find({}, env, INSTALLED, { userHome }), {
        code: 'USAGE',
        remedy: 'Name a directory with --data-dir or $QUEUECTL_DATA_DIR.',
      });
    }
  }
});

function makeClone(): string {
  const root = tempStore();
  mkdirSync(join(root, 'dist'));
  writeFileSync(join(root, 'tsconfig.json'), '{}');
  return root;
}
