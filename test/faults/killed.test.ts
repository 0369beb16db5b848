/** A command killed at any of its calls to the system leaves its change whole or not at all. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { byKind } from '../integration/support.js';
import { each } from './run.js';
import { checkRemains, SCENARIOS, Trial } from './scenarios.js';
import { straceMissing } from './strace.js';

/** A store in files is locked for three seconds by who was killed, and waiting takes no processor. */
const WIDTH = byKind({ file: 8, sqlite: 2 });

describe('a command that is killed', { concurrency: 4, skip: straceMissing }, () => {
  for (const scenario of SCENARIOS) {
    test(`${scenario.title}: the change is there whole or not at all, and surely once it is acknowledged`, async () => {
      const trial = await Trial.of(scenario);
      const strikes = trial.calls.map((call) => ({ call, fault: 'signal=KILL' }));
      const deaths = await trial.strikeEach(strikes, async (struck) => struck);
      const possible = [trial.before, trial.after];
      const ends = await each(deaths, WIDTH, ({ call, dir }) => checkRemains(dir, possible, `killed at ${call.text}`));
      assert.ok(deaths.every(({ ended }) => ended.signal === 'SIGKILL'));
      assert.equal(ends[0], trial.before, 'killed at its first call it has changed nothing');
      assert.equal(ends.at(-1), trial.after, 'killed while it says that it is done, it has done it');
    });
  }
});
