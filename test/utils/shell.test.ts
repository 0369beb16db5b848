import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { joinWords } from '../../utils/shell.js';
import { tempStore } from '../helpers/tempStore.js';

const ODD = [
  'two words',
  ' ',
  '',
  `it's`,
  `'`,
  `"double"`,
  '$HOME',
  '$(echo no)',
  '`echo no`',
  'a\nb\n',
  'tab\there',
  '\\',
  'a\\nb',
  '-x',
  '--json',
  '--',
  '*',
  '?',
  '[a-z]',
  '~',
  'a=b',
  '#no',
  '!',
  '!!',
  '&',
  'a;b',
  'a|b',
  '<a',
  '>a',
  '{a,b}',
  '{',
  '}',
  '(a)',
  'if',
  '%s',
  'é✓😀',
  '\u0001\u001b[31m\u009b\u2028',
];

test('words come back from a shell as they were', () => {
  const found = spawnSync('/bin/sh', ['-c', joinWords(['printf', '%s\\0', ...ODD])], { encoding: 'utf8' });
  assert.equal(found.stderr, '');
  assert.deepEqual(found.stdout.split('\0').slice(0, -1), ODD);
});

test('the first word is the name of a program, whatever it is', () => {
  const bin = tempStore();
  for (const name of ['if', 'while', 'time', 'function', 'A=b', 'echo hi', '{', '!', '~', '#', '$HOME', "it's"]) {
    const file = join(bin, name);
    writeFileSync(file, '#!/bin/sh\nprintf "%s" "$#"\n');
    chmodSync(file, 0o755);
    const env = { PATH: `${bin}:${process.env.PATH}` };
    const found = spawnSync('/bin/sh', ['-c', joinWords([name, 'a b', ''])], { encoding: 'utf8', env });
    assert.deepEqual([found.stdout, found.stderr], ['2', ''], name);
  }
});

test('what needs no quotes gets none', () => {
  assert.equal(
    joinWords(['rsync', '-av', './a_b.c', 'host:/d', '50%', 'x@y,z+1']),
    'rsync -av ./a_b.c host:/d 50% x@y,z+1',
  );
});
