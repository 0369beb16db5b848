import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFlags, type FlagName, GLOBAL_FLAGS, readCommandLine } from '../../../cli/line/flags.js';

test('words stay as they were typed', () => {
  const cases: [args: string[], words: string[]][] = [
    [
      ['enqueue', '-'],
      ['enqueue', '-'],
    ],
    [
      ['enqueue', '--json', 'true'],
      ['enqueue', 'true'],
    ],
    [
      ['enqueue', 'help'],
      ['enqueue', 'help'],
    ],
    [
      ['enqueue', ''],
      ['enqueue', ''],
    ],
    [
      ['dlq-retry', '007'],
      ['dlq-retry', '007'],
    ],
    [
      ['dlq-retry', '1e3'],
      ['dlq-retry', '1e3'],
    ],
    [
      ['enqueue', `'a' "b"`],
      ['enqueue', `'a' "b"`],
    ],
    [
      ['config-set', 'max_retries', '-1'],
      ['config-set', 'max_retries', '-1'],
    ],
    [
      ['--data-dir', 'd', 'worker', '--json', 'start'],
      ['worker', 'start'],
    ],
    [
      ['enqueue', '--', '--help', '-x'],
      ['enqueue', '--help', '-x'],
    ],
  ];
  for (const [args, words] of cases) assert.deepEqual(readCommandLine(args).words, words, args.join(' '));
});

test('a flag with a value is text', () => {
  assert.equal(readCommandLine(['--max-retries', '3']).flags['max-retries'], '3');
  assert.equal(readCommandLine(['--max-retries=-1']).flags['max-retries'], '-1');
  assert.equal(readCommandLine(['--max-retries', '-1']).flags['max-retries'], '-1');
  assert.equal(readCommandLine(['--id', '007']).flags.id, '007');
  assert.equal(readCommandLine([]).flags.json, undefined);
  assert.equal(readCommandLine(['-h']).flags.help, true);
});

test('what yargs would let pass is refused', () => {
  const accepted: FlagName[] = ['id', 'count', ...GLOBAL_FLAGS];
  const check = (args: string[]) => () => checkFlags(args, readCommandLine(args), accepted, 'queuectl x --help');
  check(['a', '--data-dir', 'd', '--id', 'x', '--count=3', '--json', '-h', '--', '--json=1'])();
  assert.throws(check(['--cuont', '3']), /unknown flag --cuont\. Did you mean --count\?/);
  assert.throws(check(['--state', 'failed']), /unknown flag --state\./);
  assert.throws(check(['--no-json']), /unknown flag --no-json/);
  assert.throws(check(['--id.x', '3']), /unknown flag --id\.x/);
  assert.throws(check(['-x']), /unknown flag -x\..*after a --/);
  assert.throws(check(['--__proto__', 'x']), /unknown flag/);
  assert.throws(check(['--id', 'x', '--id', 'y']), /--id is given more than once/);
  assert.throws(check(['--id']), /--id needs a value/);
  assert.throws(check(['--id', '--json']), /--id needs a value/);
  assert.throws(check(['--data-dir=']), /--data-dir needs a value/);
  assert.throws(check(['--json=maybe']), /--json takes no value/);
});
