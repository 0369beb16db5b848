/** A command one of whose calls to the system fails has changed nothing and says why in one line, or has done its work. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertWithin } from '../helpers/assertWithin.js';
import { byKind } from '../integration/support.js';
import { assertOneLine, assertRefused, type Ended, EVERY_CASE, each, missing } from './run.js';
import { checkRemains, SCENARIOS, type Scenario, Trial } from './scenarios.js';
import { type Call, isAnswer, isChange, straceMissing } from './strace.js';

/** A command that could not remove its lock waits for 10 seconds when it needs it again. */
const SOON_MS = 18_000;
const ONE_CHANGE = SCENARIOS.filter(({ isSeveral = false }) => !isSeveral);

/** The errors of a call: the likely one, or with every case all that a failing disk may have for it. */
function errorsOf(call: Call): readonly string[] {
  if (!EVERY_CASE) return [/^(p?write|open|link|mkdir)/.test(call.name) ? 'ENOSPC' : 'EIO'];
  if (/^(close|fcntl)$/.test(call.name) || /AT_EMPTY_PATH|^fstat/.test(call.text)) return []; // they ask no disk
  return [...(isChange(call) ? ['ENOSPC', 'EIO'] : ['EIO']), ...(call.name.startsWith('open') ? ['EMFILE'] : [])];
}

describe('a command one of whose calls fails', { concurrency: 4, skip: straceMissing }, () => {
  for (const scenario of ONE_CHANGE) {
    test(`${scenario.title}: nothing is done and one line says why, or all is done`, async () => {
      const trial = await Trial.of(scenario);
      const calls = trial.calls.filter((call) => !isAnswer(call));
      const strikes = calls.flatMap((call) => errorsOf(call).map((error) => ({ call, fault: `error=${error}` })));
      const ends = await trial.strikeEach(strikes, ({ call, fault, dir, ended }) =>
        checkEnd(trial, dir, ended, `${fault} at ${call.text}`, isSync(call)),
      );
      assert.ok(ends.includes(trial.before), 'nothing kept it from its work');
    });
  }
});

/** Whether a call brings to the disk what can be read already. When it fails, nothing is acknowledged, and may be there. */
const isSync = ({ name, text }: Call) =>
  /^f(data)?sync$/.test(name) || (name === 'openat' && OPENS_DIRECTORY.test(text));
const OPENS_DIRECTORY = /\/untouched", O_RDONLY\|O_CLOEXEC\)/;

/** The largest file of these stores is smaller; what is written up to the limit is a short write. */
const LARGEST_BYTES = byKind({ file: 2000, sqlite: 120_000 });
const STEP_BYTES = byKind({ file: EVERY_CASE ? 23 : 127, sqlite: EVERY_CASE ? 1500 : 8100 });
const needs = straceMissing || missing('prlimit', '--fsize=1000', 'true');

describe('a command whose files may not grow', { concurrency: 2, skip: needs }, () => {
  for (const scenario of ONE_CHANGE) {
    test(`${scenario.title}: a write that is cut short is as good as none`, () => cutWritesShort(scenario));
  }
});

async function cutWritesShort(scenario: Scenario): Promise<void> {
  const trial = await Trial.of(scenario);
  const sizes = Array.from({ length: LARGEST_BYTES / STEP_BYTES }, (_, step) => 1 + step * STEP_BYTES);
  let sufficient = 0;
  const ends = await each(sizes, 2, async (bytes) => {
    if (sufficient >= 2) return trial.after; // a higher limit changes nothing
    const { dir, ended } = await trial.runUnder(['prlimit', `--fsize=${bytes}`], `up-to-${bytes}`);
    const end = await checkEnd(trial, dir, ended, `files of up to ${bytes} bytes`);
    if ((await isDone(ended, '')) && ended.stderr === '') sufficient += 1;
    return end;
  });
  assert.equal(ends[0], trial.before, 'it works without files');
  assert.ok(sufficient >= 2, 'the limits are too low');
}

/** @returns the contents found */
async function checkEnd({ before, after }: Trial, dir: string, ended: Ended, when: string, mayBeDone = false) {
  if (await isDone(ended, when)) return checkRemains(dir, [after], when);
  return checkRemains(dir, mayBeDone ? [before, after] : [before], when);
}

/** @returns whether a command says that it has done its work; fails when what it says is not for users */
async function isDone(ended: Ended, when: string): Promise<boolean> {
  await assertWithin(ended.ms, SOON_MS, when);
  if (ended.code !== 0) {
    assertRefused(ended, when);
    return false;
  }
  assert.notEqual(ended.stdout, '', when);
  if (ended.stderr !== '') assertOneLine(ended.stderr, when);
  return true;
}
