/**
 * The protocol of lock, journal and fold, gone through in every order in which processes can meet.
 *
 * What runs is the real code, from FileStore down to proper-lockfile and write-file-atomic, on a simulated file system:
 * see explorer.ts and replay.ts. After each call of each process it is checked that nothing acknowledged is lost or done
 * twice, that nobody who looks again sees anything older, that queue.json is whole and never goes back, and that whoever
 * comes when all others are dead can work and leaves the store at rest. So a process may be killed, or stopped for as long
 * as one likes, ahead of any of its calls, and its lock be taken.
 *
 * What it cannot show:
 *  - More than the scenarios have: two or three processes, one or two transactions each, one or two thefts of the lock.
 *    Where a number of preemptions is given, only orders in which a process is halted, though it could go on, no more
 *    often than that. QUEUECTL_CHAOS=1 allows more of them.
 *  - In the scenarios that are not gone through call by call, a temporary file is made, and a lock made and signed, in one
 *    go; the other scenarios halt a process between these calls too.
 *  - A file system that breaks its promises: an append that lands in pieces, a rename that is not atomic, an inode number
 *    used again at once, times that are not kept, a full disk. Lines that are torn: see tornJournal.test.ts.
 *  - Power cuts: what was written is there, on disk or not.
 *  - Time in between: it passes in leaps, and a process sees it pass with its calls only; proper-lockfile's timer and the
 *    one that folds later never fire. The clock is not set back.
 *  - Who is next of many that wait for the lock: here each looks again as often as it likes.
 *  - Workers on record, the doctor, config.json edited by hand, and memory: queues here have a few jobs.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { bundle } from '../helpers/bundle.js';
import { tempStore } from '../helpers/tempStore.js';
import type { Order, Report } from './explore.js';
import { SCENARIOS } from './scenarios.js';

const isLong = process.env.QUEUECTL_CHAOS === '1';
const DEADLINE_MS = isLong ? 900_000 : 300_000;

/** Which scenario shows that each safeguard is needed. */
const NEEDED: readonly (readonly [mutation: string, scenario: string])[] = [
  ['temporary files stay when the lock changes hands', 'two settings'],
  ['a holder never looks whether the lock is still its own', 'two settings'],
  ['a fold does not seal the journal', 'the same, call by call'],
  ['a line counts whatever its number', 'two that add, and a claim'],
  ['a commit is acknowledged wherever its line landed', 'the same, call by call'],
  ['a commit is written though the journal is sealed', 'a fold that was cut short'],
];

describe('whatever the order of their calls, processes keep the promises of the store', { concurrency: 2 }, () => {
  let program: string;
  before(async () => {
    program = await bundle(join(import.meta.dirname, 'explore.ts'), tempStore());
  });

  for (const { name } of SCENARIOS) {
    test(name, { timeout: DEADLINE_MS }, async (t) => {
      const { broken, failures, ...counts } = await explore(program, { scenario: name, isLong });
      t.diagnostic(`${name}: ${told(counts)}`);
      assert.equal(broken, undefined, broken && `${broken.promise}\n${broken.schedule.join('\n')}`);
      const [failure, { schedule } = { schedule: [] }] = failures[0] ?? [];
      assert.equal(failure, undefined, `${failure}\n${schedule.join('\n')}`);
      assert.ok(counts.ends > 50 && counts.states > 1000, `only ${told(counts)}`);
    });
  }

  for (const [mutation, scenario] of NEEDED) {
    test(`if ${mutation}, a promise is broken`, { timeout: DEADLINE_MS }, async (t) => {
      const { broken, states } = await explore(program, { scenario, mutation });
      assert.notEqual(broken, undefined, `nothing is broken in ${states} states`);
      t.diagnostic(`${broken?.promise.split('\n')[0]}: after ${broken?.schedule.length} calls, ${states} states`);
    });
  }
});

async function explore(program: string, order: Order): Promise<Report> {
  const args = ['--max-old-space-size=6000', '--max-semi-space-size=64', program, JSON.stringify(order)];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: {},
    maxBuffer: 100_000_000,
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  return JSON.parse(stdout) as Report;
}

function told({
  states,
  steps,
  ends,
  histories,
  successions,
  preemptions,
  seconds,
}: Omit<Report, 'broken' | 'failures'>) {
  const bound = preemptions === null ? 'preempted at will' : `${preemptions} preemptions`;
  const time = `${seconds.toFixed(1)} s`;
  return `${states} states, ${steps} calls, ${ends} ends, ${histories} histories, ${successions} successions, ${bound}, ${time}`;
}
