/** A journal that ends anywhere, as a power cut or a full disk leaves it, holds the commits whose lines are whole. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { before, describe, test } from 'node:test';
import { type DeadEntry, deadEntryOf } from '../../../../db/model/deadEntry.js';
import type { Job } from '../../../../db/model/job.js';
import { Draft } from '../../../../db/stores/file/draft.js';
import { storePaths } from '../../../../db/stores/file/paths.js';
import { View } from '../../../../db/stores/file/view.js';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { fileStore } from '../../../helpers/testStore.js';
import { skipFsync } from './fsCalls.js';
import { perform, type Step } from './steps.js';

/** Commits of every kind, and after which of them somebody's torn line stands in the journal. */
function steps(): Step[] {
  const all: Step[] = [];
  for (let n = 0; n < 6; n++) {
    const id = `${n}`;
    const claim = { id, worker: 'w', now: T0 + n };
    all.push(
      { verb: 'create', job: pendingJob({ id, created_at: T0 + n }) },
      { verb: 'claim', worker: 'w', now: T0 + n },
    );
    if (n % 3 === 0) all.push({ verb: 'complete', ...claim });
    else if (n % 3 === 1) all.push({ verb: 'bury', ...claim }, { verb: 'retry', id, now: T0 + n });
    else
      all.push({ verb: 'reschedule', ...claim, runAt: T0 + 99 }, { verb: 'create', job: pendingJob({ id: `${n}+` }) });
  }
  const both: Step = {
    verb: 'transaction',
    verbs: [
      { verb: 'claim', worker: 'w', now: T0 },
      { verb: 'create', job: pendingJob({ id: 'last' }) },
    ],
  };
  return [...all, both, { verb: 'claim', worker: 'w2', now: T0 + 99 }];
}
const TORN_AFTER = 9;

describe('a journal cut at any byte', () => {
  const dir = tempStore();
  const paths = storePaths(dir);
  /** The journal's size after each commit, and what the store held then; first the header alone. */
  const commits: { size: number; contents: string }[] = [];
  let whole: Buffer;

  before(async () => {
    const restore = skipFsync();
    const store = fileStore(dir, { clock: () => T0 });
    await store.jobs.createJob(pendingJob({ id: 'first', priority: -1 }));
    commits.push({ size: fs.readFileSync(paths.journal).indexOf('\n') + 1, contents: JSON.stringify([[], []]) });
    for (const [n, step] of [undefined, ...steps()].entries()) {
      if (step !== undefined) await perform(store, step);
      const contents = JSON.stringify([await store.jobs.listJobs(), await store.dlq.listDLQ()]);
      commits.push({ size: fs.statSync(paths.journal).size, contents });
      if (n === TORN_AFTER) fs.appendFileSync(paths.journal, '{"seq":11,"by":"x","queue":{"put":[{"id":"to');
    }
    whole = fs.readFileSync(paths.journal);
    restore();
    assert.ok(commits.length > 24, `only ${commits.length} commits`);
  });

  /** What a store holds whose journal has this many bytes. */
  const contentsAt = (size: number) => commits.findLast((commit) => commit.size <= size)?.contents;

  /** Opens the store with the journal cut shorter and shorter, down to a size. */
  function* cutDownTo(least: number): Generator<{ view: View; size: number }> {
    fs.writeFileSync(paths.journal, whole);
    for (let size = whole.length; size >= least; size--) {
      fs.truncateSync(paths.journal, size);
      yield { view: View.open(paths), size };
    }
  }

  function contentsOf(view: View): string {
    const contents = JSON.stringify([view.records.listQueue(), view.records.listDead().map(entryOf)]);
    view.close();
    return contents;
  }

  test('holds what was committed up to there', () => {
    for (const { view, size } of cutDownTo(commits[0]?.size ?? 0)) {
      assert.equal(contentsOf(view), contentsAt(size), `cut to ${size} bytes`);
    }
  });

  test('takes the next commit, and nothing comes back with it', async () => {
    const job = pendingJob({ id: 'next', created_at: T0 + 1000 });
    for (const { view, size } of cutDownTo(commits[0]?.size ?? 0)) {
      const draft = new Draft(view, () => {});
      assert.deepEqual(await draft.write('jobs', [{ id: job.id, before: null, after: job }]), []);
      assert.equal(draft.commit(false), 'done');
      view.close();
      const [jobs, dead] = JSON.parse(contentsAt(size) ?? '') as [Job[], DeadEntry[]];
      assert.equal(contentsOf(View.open(paths)), JSON.stringify([[...jobs, job], dead]), `cut to ${size} bytes`);
    }
  });

  test('is damaged when its first line is not whole', () => {
    const fact = `${paths.journal} is damaged: its first line is no header`;
    for (let size = (commits[0]?.size ?? 0) - 1; size >= 0; size--) {
      fs.truncateSync(paths.journal, size);
      assert.throws(() => View.open(paths), { code: 'DAMAGED', fact });
      assert.deepEqual(fs.readFileSync(paths.journal), whole.subarray(0, size));
    }
  });
});

function entryOf(job: Job): DeadEntry {
  assert.ok(job.state === 'dead');
  return deadEntryOf(job);
}
