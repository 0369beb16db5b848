import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Journal, type JournalHeader } from '../../../../db/stores/file/journal.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { onFsCall, opensToWrite } from './fsCalls.js';

const HEADER: JournalHeader = { journal: 1, first: 7, folded_at: T0, fold_ms: 1, queue: null, dlq: null };

/** A journal whose first commit is 7, at its path. */
function newJournal(...lines: string[]): string {
  const path = join(tempStore(), 'journal.ndjson');
  fs.writeFileSync(path, [JSON.stringify(HEADER), ...lines, ''].join('\n'));
  return path;
}

function open(t: TestContext, path: string): Journal {
  const journal = Journal.open(path);
  assert.ok(journal !== null);
  t.after(() => journal.close());
  return journal;
}

/** The ids that the journal's further commits put into the queue. */
function read(journal: Journal): string[] {
  const ids: string[] = [];
  journal.readNews(({ change }) => ids.push(...change.keys()));
  return ids;
}

const put = (...ids: string[]) => `"queue":{"put":[${ids.map((id) => JSON.stringify(pendingJob({ id }))).join(',')}]}`;
const line = (seq: number, members: string) => `{"seq":${seq},"by":"someone",${members}}`;
const sizeOf = (path: string) => fs.statSync(path).size;

test('there may be no journal', () => {
  assert.equal(Journal.open(join(tempStore(), 'journal.ndjson')), null);
});

test('commits get numbers from the header on, and every reader sees them once', (t) => {
  const path = newJournal();
  const writer = open(t, path);
  const reader = open(t, path);
  assert.equal(writer.append(put('a'), false), 'alone');
  assert.equal(writer.append(put('b', 'c'), true), 'alone');
  assert.deepEqual(read(writer), []);
  assert.deepEqual(read(reader), ['a', 'b', 'c']);
  assert.deepEqual(read(reader), []);
  assert.equal(writer.append(put('d'), false), 'alone');
  assert.deepEqual(read(reader), ['d']);
  assert.equal(reader.commits, 3);
  assert.equal(reader.nextSeq, 10);
  assert.deepEqual(read(open(t, path)), ['a', 'b', 'c', 'd']);
});

test('of two lines with one number the first counts, and each writer learns which', (t) => {
  const path = newJournal();
  const [late, early] = [open(t, path), open(t, path)];
  assert.equal(early.append(put('early'), false), 'alone');
  assert.equal(late.append(put('late'), false), 'void');
  assert.deepEqual(read(open(t, path)), ['early']);
  assert.equal(late.append(put('again'), false), 'alone');
  assert.deepEqual(read(early), ['again']);
});

test('a line that counts although others followed it is told from one that stands alone', (t) => {
  const path = newJournal();
  const writer = open(t, path);
  let isFirst = true;
  const end = onFsCall(({ name }) => {
    if (name === 'fstatSync' && isFirst) {
      isFirst = false;
      fs.appendFileSync(path, `${line(7, put('void'))}\n${line(8, put('next'))}\n`);
    }
    return undefined;
  });
  try {
    assert.equal(writer.append(put('mine'), false), 'among others');
  } finally {
    end();
  }
  assert.deepEqual(read(open(t, path)), ['mine', 'next']);
});

test('behind a seal nothing counts', (t) => {
  const path = newJournal();
  const [writer, late] = [open(t, path), open(t, path)];
  writer.append(put('a'), false);
  read(late);
  assert.equal(writer.seal(), 'alone');
  assert.equal(late.append(put('late'), false), 'void');
  assert.ok(late.sealed);
  fs.appendFileSync(path, `${line(9, put('later'))}\n`);
  const reader = open(t, path);
  assert.deepEqual(read(reader), ['a']);
  assert.ok(reader.sealed);
  assert.equal(reader.nextSeq, 9);
  assert.equal(reader.commits, 1);
});

test('a writer that has read a seal writes nothing behind it', (t) => {
  const path = newJournal(line(7, '"seal":true'));
  const writer = open(t, path);
  read(writer);
  const size = sizeOf(path);
  assert.equal(writer.append(put('late'), false), 'void');
  assert.equal(sizeOf(path), size);
});

test('a seal whose number is taken seals nothing', (t) => {
  const path = newJournal();
  const [late, early] = [open(t, path), open(t, path)];
  early.append(put('a'), false);
  assert.equal(late.seal(), 'void');
  assert.equal(late.sealed, false);
  const reader = open(t, path);
  assert.deepEqual(read(reader), ['a']);
  assert.equal(reader.sealed, false);
});

for (const torn of ['{"seq":7,"by":"x","queue":{"pu', line(7, put('whole but for its newline')), '{', '7', '"', '~']) {
  test(`a line without its newline never counts, also when others follow: ${torn.slice(0, 40)}`, (t) => {
    const path = newJournal();
    fs.appendFileSync(path, torn);
    const writer = open(t, path);
    assert.deepEqual(read(writer), []);
    assert.equal(writer.append(put('a'), false), 'alone');
    assert.equal(writer.append(put('b'), false), 'alone');
    assert.deepEqual(read(open(t, path)), ['a', 'b']);
  });
}

test('a line that is read while it grows counts once it is whole', (t) => {
  const path = newJournal();
  const reader = open(t, path);
  const whole = `${line(7, put('a'))}\n`;
  for (const byte of Buffer.from(whole.slice(0, -1))) {
    fs.appendFileSync(path, Buffer.from([byte]));
    assert.deepEqual(read(reader), []);
  }
  fs.appendFileSync(path, '\n');
  assert.deepEqual(read(reader), ['a']);
});

const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
for (const written of [0, 1, 30, -1]) {
  test(`a disk that is full after ${written} bytes: the caller learns, nothing is committed, the next commit is`, (t) => {
    const path = newJournal();
    const { writeSync } = fs;
    const writer = open(t, path);
    const end = onFsCall(({ name, args: [fd, bytes] }) => {
      if (name !== 'writeSync') return undefined;
      if (written === 0) throw full;
      assert.ok(typeof fd === 'number' && Buffer.isBuffer(bytes));
      return { result: writeSync(fd, bytes.subarray(0, written)) };
    });
    const noSpace = { code: 'STORAGE', fact: `cannot write ${path}: no space left on device` };
    try {
      assert.throws(() => writer.append(put('a'), true), noSpace);
      assert.throws(() => open(t, path).seal(), noSpace);
    } finally {
      end();
    }
    assert.deepEqual(read(open(t, path)), []);
    const next = open(t, path);
    assert.deepEqual(read(next), []);
    assert.equal(next.append(put('b'), true), 'alone');
    assert.deepEqual(read(open(t, path)), ['b']);
  });
}

test('what is durable is on disk before the append returns, and so is a seal; a claim need not be', (t) => {
  const writer = open(t, newJournal());
  const calls: string[] = [];
  const end = onFsCall(({ name }) => {
    calls.push(name);
    return undefined;
  });
  try {
    writer.append(put('a'), true);
    assert.equal(calls.at(-1), 'fdatasyncSync');
    calls.length = 0;
    writer.append(put('b'), false);
    assert.ok(!calls.includes('fdatasyncSync'));
    writer.seal();
    assert.equal(calls.at(-1), 'fdatasyncSync');
  } finally {
    end();
  }
});

test('a journal that may only be read can be read, and says why it cannot be written', (t) => {
  const path = newJournal(line(7, put('a')));
  const end = onFsCall(({ name, args: [, flags] }) => {
    if (name === 'openSync' && opensToWrite(flags)) throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
    return undefined;
  });
  t.after(end);
  const journal = open(t, path);
  assert.deepEqual(read(journal), ['a']);
  assert.throws(() => journal.append('"queue":{}', true), { code: 'STORAGE', message: /permission denied/ });
});

const valid = JSON.stringify(pendingJob({ id: 'a' }));
const DAMAGES: [what: string, lines: string[], fault: RegExp][] = [
  ['a gap in the numbers', [line(7, put('a')), line(9, put('b'))], /at byte \d+ stands commit 9 where 8 should be/],
  ['a first number that is not the header’s', [line(8, put('a'))], /at byte 86 stands commit 8 where 7 should be/],
  ['a line in the middle that is no JSON', [line(7, put('a')), '~', line(9, put('b'))], /stands commit 9 where 8/],
  ['a commit whose job is none', [line(7, '"queue":{"put":[{"id":"a"}]}')], /at byte 86, "command" is missing/],
  ['a commit whose dead job is none', [line(7, `"dlq":{"put":[${valid}]}`)], /at byte 86, "error" is missing/],
  ['a commit of another shape', [line(7, '"queue":{"put":7}')], /at byte 86, .*"put"/],
  ['a commit that removes what is no id', [line(7, '"queue":{"del":"ab"}')], /at byte 86, .*"del"/],
];
for (const [what, lines, fault] of DAMAGES) {
  test(`${what} is damage`, (t) => {
    const path = newJournal(...lines);
    const journal = open(t, path);
    assert.throws(() => read(journal), { code: 'DAMAGED', fact: fault });
    assert.throws(() => read(journal), { code: 'DAMAGED' });
  });
}

const BAD_HEADERS: [header: string, fact: RegExp][] = [
  ['', /is damaged: its first line is no header/],
  ['{}', /is damaged: its first line is no header/],
  ['garbage', /is damaged: its first line is no header/],
  [JSON.stringify({ ...HEADER, first: '1' }), /is damaged: its first line is no header/],
  [JSON.stringify({ ...HEADER, queue: 7 }), /is damaged: its first line is no header/],
  [JSON.stringify({ ...HEADER, journal: 2 }), /has version 2, and this queuectl reads version 1/],
];
for (const [header, fact] of BAD_HEADERS) {
  test(`a journal that begins with ${header.slice(0, 30) || 'an empty line'} is not read`, () => {
    const path = join(tempStore(), 'journal.ndjson');
    fs.writeFileSync(path, `${header}\n`);
    assert.throws(() => Journal.open(path), { code: 'DAMAGED', fact });
  });
}

test('a journal that got shorter while it was open is damaged', (t) => {
  const path = newJournal(line(7, put('a')));
  const journal = open(t, path);
  read(journal);
  fs.truncateSync(path, sizeOf(path) - 5);
  assert.throws(() => read(journal), {
    code: 'DAMAGED',
    fact: `${path} is damaged: it was cut to ${sizeOf(path)} bytes`,
  });
});
