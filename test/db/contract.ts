/** What every implementation of a store must do. Nothing here knows how a store keeps its records. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { writeGroupNote } from '../../core/run/groupNote.js';
import type { PendingJob, ProcessingJob } from '../../db/model/job.js';
import { DEFAULT_CONFIG } from '../../db/model/settings.js';
import type { WorkerRecord } from '../../db/model/worker.js';
import type { Claim, Repositories, Store } from '../../db/store.js';
import { pendingJob, T0 } from '../helpers/jobFactory.js';
import { waitFor } from '../helpers/waitFor.js';

/** What the module of an implementation exports. */
export interface Opener {
  readonly openStore: (place: string) => Store;
}

export interface StoreMaker {
  /** The URL of a module that is an `Opener`; other processes open the store with it too. */
  readonly opener: string;
  /** Makes room for an empty store, until the end of the test that is running, and says where it is. */
  makePlace(): Promise<string>;
}

const isDuplicate = (id: string) => ({ code: 'DUPLICATE_ID', fact: `the id ${JSON.stringify(id)} is taken` });

export function describeStore(name: string, { opener, makePlace }: StoreMaker): void {
  let openStore: Opener['openStore'];
  before(async () => {
    ({ openStore } = (await import(opener)) as Opener);
  });

  /** A test with an empty store, and a second handle on it. */
  function storeTest(title: string, run: (store: Store, other: Store, place: string) => Promise<void>): void {
    test(title, async () => {
      const place = await makePlace();
      const store = openStore(place);
      const other = openStore(place);
      try {
        await run(store, other, place);
      } finally {
        await store.close();
        await other.close();
      }
    });
  }

  describe(`${name}: an empty store`, () => {
    storeTest('has no jobs, no dead jobs, no workers, and the default settings', async (store) => {
      assert.deepEqual(await store.jobs.listJobs(), []);
      assert.deepEqual(await store.jobs.countJobs(), { pending: 0, processing: 0, completed: 0, failed: 0 });
      assert.equal(await store.jobs.getJob('x'), undefined);
      assert.equal(await store.jobs.nextRunAt(), undefined);
      assert.equal(await store.jobs.claimNext('w1', T0), undefined);
      assert.deepEqual(await store.dlq.listDLQ(), []);
      assert.equal(await store.dlq.countDLQ(), 0);
      assert.equal(await store.dlq.getDead('x'), undefined);
      assert.equal(await store.dlq.retryFromDLQ('x', T0), undefined);
      assert.deepEqual(await store.workers.listRecords(), []);
      assert.deepEqual(await store.config.getAllConfig(), DEFAULT_CONFIG);
    });
  });

  describe(`${name}: createJob`, () => {
    storeTest('keeps the record as it is, fields it does not know included', async (store, other) => {
      const job = {
        ...pendingJob({ id: 'ä "quoted"\\', command: 'echo "a\nb" ~ \u2028', priority: -3, cwd: '/tmp/with space' }),
        colour: { deep: ['red', null] },
      };
      await store.jobs.createJob(job);
      for (const handle of [store, other]) {
        assert.deepEqual(await handle.jobs.getJob(job.id), job);
        assert.deepEqual(await handle.jobs.listJobs(), [job]);
      }
    });

    storeTest('refuses an id that is in the queue', async (store, other) => {
      const job = pendingJob({ id: 'twice' });
      await store.jobs.createJob(job);
      for (const handle of [store, other]) {
        await assert.rejects(
          handle.jobs.createJob(pendingJob({ id: 'twice', command: 'false' })),
          isDuplicate('twice'),
        );
      }
      assert.deepEqual(await other.jobs.listJobs(), [job]);
    });

    storeTest('refuses an id that is in the dead letter queue', async (store, other) => {
      await bury(store, pendingJob({ id: 'dead' }));
      for (const handle of [store, other]) {
        await assert.rejects(handle.jobs.createJob(pendingJob({ id: 'dead' })), isDuplicate('dead'));
      }
      assert.deepEqual(await other.jobs.listJobs(), []);
    });

    storeTest('adds many jobs, each with its own values, or none of them', async (store, other) => {
      const many = [
        pendingJob({ id: 'a' }),
        pendingJob({ id: 'b', command: 'echo "b"' }),
        pendingJob({ id: 'c', max_retries: 9 }),
        pendingJob({ id: 'd', max_retries: 9, priority: 2 }),
        pendingJob({ id: 'e' }),
      ];
      await store.jobs.createJobs(many.map((job) => ({ job, hasNewId: true })));
      assert.deepEqual(await other.jobs.listJobs(), many);
      for (const taken of ['c', 'new']) {
        const jobs = ['new', 'newer', taken].map((id) => ({ job: pendingJob({ id }), hasNewId: false }));
        await assert.rejects(other.jobs.createJobs(jobs), isDuplicate(taken));
      }
      for (const handle of [store, other]) assert.deepEqual(await handle.jobs.listJobs(), many);
    });

    storeTest('is not misled by an id that stands in another field', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a', command: 'b', last_error: '"b"' }));
      await other.jobs.createJob(pendingJob({ id: 'b' }));
      assert.deepEqual(idsOf(await store.jobs.listJobs()), ['a', 'b']);
    });

    storeTest('refuses an id that another handle has just added', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      await other.jobs.createJob(pendingJob({ id: 'b' }));
      await assert.rejects(store.jobs.createJob(pendingJob({ id: 'b' })), isDuplicate('b'));
    });
  });

  describe(`${name}: claimNext`, () => {
    storeTest('takes the highest priority first, then the oldest, then the one added first', async (store, other) => {
      const at = (id: string, created_at: number, priority?: number) =>
        pendingJob({ id, created_at, ...(priority === undefined ? {} : { priority }) });
      for (const job of [
        at('low', T0 - 9, -1),
        at('second', T0 + 1),
        at('third', T0 + 1, 0),
        at('first', T0),
        at('urgent', T0 + 5, 7),
        at('more urgent', T0 + 9, 8),
      ]) {
        await store.jobs.createJob(job);
      }
      const order = [];
      for (const handle of [store, other, store, other, store, other]) {
        order.push((await handle.jobs.claimNext('w1', T0 + 10))?.id);
      }
      assert.deepEqual(order, ['more urgent', 'urgent', 'first', 'second', 'third', 'low']);
      assert.equal(await store.jobs.claimNext('w1', T0 + 10), undefined);
    });

    storeTest('counts the attempt, notes worker and time, and leaves the rest', async (store, other) => {
      const job = { ...pendingJob({ priority: 2, cwd: '/tmp', last_error: 'exit code 1' }), colour: 'red' };
      await store.jobs.createJob(job);
      const claimed = await store.jobs.claimNext('w1', T0 + 5);
      const expected = {
        ...job,
        state: 'processing',
        attempts: 1,
        updated_at: T0 + 5,
        processing_started_at: T0 + 5,
        worker_id: 'w1',
      };
      assert.deepEqual(claimed, expected);
      assert.deepEqual(await other.jobs.getJob(job.id), expected);
    });

    storeTest('takes no job before its run_at, and takes it from then on', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'later', run_at: T0 + 100, priority: 9 }));
      await store.jobs.createJob(pendingJob({ id: 'now' }));
      assert.equal((await store.jobs.claimNext('w1', T0 + 99))?.id, 'now');
      assert.equal(await store.jobs.claimNext('w1', T0 + 99), undefined);
      assert.equal((await other.jobs.claimNext('w1', T0 + 100))?.id, 'later');
    });

    storeTest('takes a failed job when its next attempt is due', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      await store.jobs.reschedule(await claim(store), { runAt: T0 + 100, error: 'exit code 1' }, T0);
      assert.equal(await other.jobs.claimNext('w2', T0 + 99), undefined);
      const again = await other.jobs.claimNext('w2', T0 + 100);
      assert.equal(again?.attempts, 2);
      assert.equal(again?.worker_id, 'w2');
    });

    storeTest('takes no job that is held, completed or dead', async (store, other) => {
      await bury(store, pendingJob());
      await store.jobs.createJob(pendingJob());
      await store.jobs.markCompleted(await claim(store), T0);
      await store.jobs.createJob(pendingJob());
      await claim(store);
      for (const handle of [store, other]) assert.equal(await handle.jobs.claimNext('w2', T0 + 1e9), undefined);
    });

    storeTest('goes by the time it is told, even when that is set back', async (store) => {
      await store.jobs.createJob(pendingJob({ id: 'a', run_at: T0 + 50 }));
      await store.jobs.createJob(pendingJob({ id: 'b', run_at: T0 + 60, priority: 1 }));
      await store.jobs.createJob(pendingJob({ id: 'c', run_at: T0 + 10 }));
      assert.equal((await store.jobs.claimNext('w1', T0 + 60))?.id, 'b');
      assert.equal((await store.jobs.claimNext('w1', T0 + 20))?.id, 'c');
      assert.equal(await store.jobs.claimNext('w1', T0 + 20), undefined);
      assert.equal(await store.jobs.nextRunAt(), T0 + 50);
      assert.equal((await store.jobs.claimNext('w1', T0 + 50))?.id, 'a');
    });
  });

  describe(`${name}: settling`, () => {
    storeTest('markCompleted', async (store, other) => {
      await store.jobs.createJob({ ...pendingJob({ id: 'a', last_error: 'exit code 1' }), ...{ colour: 'red' } });
      const held = await claim(store, T0 + 1);
      assert.equal(await store.jobs.markCompleted(held, T0 + 2), true);
      assert.deepEqual(await other.jobs.getJob('a'), {
        ...held,
        state: 'completed',
        updated_at: T0 + 2,
        worker_id: null,
        last_error: null,
      });
    });

    storeTest('reschedule', async (store, other) => {
      await store.jobs.createJob({ ...pendingJob({ id: 'a' }), ...{ colour: 'red' } });
      const held = await claim(store, T0 + 1);
      assert.equal(await store.jobs.reschedule(held, { runAt: T0 + 9, error: 'exit code 7' }, T0 + 2), true);
      assert.deepEqual(await other.jobs.getJob('a'), {
        ...held,
        state: 'failed',
        run_at: T0 + 9,
        updated_at: T0 + 2,
        worker_id: null,
        last_error: 'exit code 7',
      });
    });

    storeTest('release gives back a first attempt as if there had been none', async (store, other) => {
      const job = { ...pendingJob({ id: 'a' }), colour: 'red' };
      await store.jobs.createJob(job);
      assert.equal(await store.jobs.release(await claim(store, T0 + 1), T0 + 2), true);
      assert.deepEqual(await other.jobs.getJob('a'), { ...job, updated_at: T0 + 2 });
      assert.equal((await other.jobs.claimNext('w2', T0 + 3))?.attempts, 1);
    });

    storeTest('release gives back a later attempt and keeps why the one before failed', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      await store.jobs.reschedule(await claim(store), { runAt: T0 + 5, error: 'exit code 1' }, T0);
      assert.equal(await store.jobs.release(await claim(store, T0 + 6), T0 + 7), true);
      const job = await other.jobs.getJob('a');
      assert.equal(job?.state, 'failed');
      assert.equal(job.attempts, 1);
      assert.equal(job.worker_id, null);
      assert.equal(job.last_error, 'exit code 1');
      assert.equal((await other.jobs.claimNext('w2', T0 + 7))?.attempts, 2);
    });

    storeTest('moveToDLQ', async (store, other) => {
      const job = { ...pendingJob({ id: 'a', priority: 4, cwd: '/tmp', created_at: T0 - 5 }), colour: 'red' };
      await store.jobs.createJob(job);
      assert.equal(await store.dlq.moveToDLQ(await claim(store), 'exit code 7', T0 + 2), true);
      const entry = {
        id: 'a',
        command: job.command,
        attempts: 1,
        max_retries: job.max_retries,
        error: 'exit code 7',
        failed_at: T0 + 2,
        created_at: T0 - 5,
        priority: 4,
        cwd: '/tmp',
        colour: 'red',
      };
      for (const handle of [store, other]) {
        assert.deepEqual(await handle.dlq.getDead('a'), entry);
        assert.deepEqual(await handle.dlq.listDLQ(), [entry]);
        assert.equal(await handle.dlq.countDLQ(), 1);
        assert.equal(await handle.jobs.getJob('a'), undefined);
        assert.deepEqual(await handle.jobs.listJobs(), []);
      }
    });

    const verbs: [verb: string, settle: (store: Repositories, claim: Claim) => Promise<boolean>][] = [
      ['markCompleted', ({ jobs }, claim) => jobs.markCompleted(claim, T0 + 9)],
      ['reschedule', ({ jobs }, claim) => jobs.reschedule(claim, { runAt: T0 + 9, error: 'late' }, T0 + 9)],
      ['release', ({ jobs }, claim) => jobs.release(claim, T0 + 9)],
      ['moveToDLQ', ({ dlq }, claim) => dlq.moveToDLQ(claim, 'late', T0 + 9)],
    ];
    const situations: [when: string, arrange: (store: Store, held: ProcessingJob) => Promise<unknown>][] = [
      ['another worker has it', async (store, held) => (await store.jobs.release(held, T0)) && claim(store, T0, 'w2')],
      ['it is completed', (store, held) => store.jobs.markCompleted(held, T0)],
      ['it waits for its next attempt', (store, held) => store.jobs.reschedule(held, { runAt: T0, error: '' }, T0)],
      ['it was given back', (store, held) => store.jobs.release(held, T0)],
      ['it is dead', (store, held) => store.dlq.moveToDLQ(held, 'exit code 1', T0)],
      [
        'it was dead and is back',
        async (store, held) =>
          (await store.dlq.moveToDLQ(held, 'exit code 1', T0)) && store.dlq.retryFromDLQ(held.id, T0),
      ],
    ];
    for (const [verb, settle] of verbs) {
      storeTest(`${verb} is refused whenever the worker no longer owns the job`, async (store, other) => {
        for (const [when, arrange] of situations) {
          await store.jobs.createJob(pendingJob({ id: when }));
          const held = await claim(store);
          await arrange(other, held);
          const before = await everything(other);
          assert.equal(await settle(store, held), false, when);
          assert.deepEqual(await everything(other), before, when);
          assert.deepEqual(await everything(store), before, when);
          await completeAll(store);
        }
        assert.equal(await settle(store, { id: 'never was', worker_id: 'w1' }), false);
      });
    }
  });

  describe(`${name}: listing and counting`, () => {
    storeTest('lists the oldest first, whenever it was added', async (store, other) => {
      for (const [id, created_at] of Object.entries({ c: T0 + 3, a: T0, d: T0 + 3, b: T0 + 1 })) {
        await store.jobs.createJob(pendingJob({ id, created_at }));
      }
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['a', 'b', 'c', 'd']);
    });

    storeTest('lists and counts by state', async (store, other) => {
      const states = { pending: 'p', processing: 'r', completed: 'c', failed: 'f' } as const;
      for (const id of ['c', 'f', 'r', 'p']) await store.jobs.createJob(pendingJob({ id }));
      await store.jobs.markCompleted(await claim(store), T0);
      await store.jobs.reschedule(await claim(store), { runAt: T0 + 5, error: 'exit code 1' }, T0);
      await claim(store);
      for (const handle of [store, other]) {
        assert.deepEqual(await handle.jobs.countJobs(), { pending: 1, processing: 1, completed: 1, failed: 1 });
        for (const state of ['pending', 'processing', 'completed', 'failed'] as const) {
          assert.deepEqual(idsOf(await handle.jobs.listJobs(state)), [states[state]]);
        }
      }
    });

    storeTest('tells when the next attempt is due', async (store, other) => {
      await store.jobs.createJob(pendingJob({ run_at: T0 + 30 }));
      await store.jobs.createJob(pendingJob({ run_at: T0 + 20, priority: -1 }));
      await store.jobs.createJob(pendingJob({ run_at: T0 }));
      assert.equal(await other.jobs.nextRunAt(), T0);
      const held = await claim(store);
      assert.equal(await store.jobs.nextRunAt(), T0 + 20);
      await store.jobs.reschedule(held, { runAt: T0 + 10, error: 'exit code 1' }, T0);
      for (const handle of [store, other]) assert.equal(await handle.jobs.nextRunAt(), T0 + 10);
      for (const at of [10, 20, 30]) {
        await store.jobs.markCompleted(await claim(store, T0 + at), T0);
      }
      for (const handle of [store, other]) assert.equal(await handle.jobs.nextRunAt(), undefined);
    });

    storeTest('tells of one that is due when several are', async (store) => {
      await store.jobs.createJob(pendingJob({ id: 'a', run_at: T0, priority: 9 }));
      await store.jobs.createJob(pendingJob({ id: 'b', run_at: T0 + 2, priority: 8 }));
      await store.jobs.createJob(pendingJob({ id: 'c', run_at: T0 + 1 }));
      assert.equal((await store.jobs.claimNext('w1', T0 + 5))?.id, 'a');
      const due = await store.jobs.nextRunAt();
      assert.ok(due === T0 + 1 || due === T0 + 2);
    });
  });

  describe(`${name}: the dead letter queue`, () => {
    storeTest('lists its jobs in the order they were buried', async (store, other) => {
      for (const id of ['b', 'c', 'a']) await bury(store, pendingJob({ id }));
      await store.dlq.retryFromDLQ('b', T0);
      await store.dlq.moveToDLQ(await claim(store), 'again', T0);
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.dlq.listDLQ()), ['c', 'a', 'b']);
    });

    storeTest('gives a job back whole, to run at once, with its retries before it', async (store, other) => {
      const job = { ...pendingJob({ id: 'a', priority: 4, cwd: '/tmp', created_at: T0 - 5 }), colour: { deep: 1 } };
      await bury(store, job);
      const back = await other.dlq.retryFromDLQ('a', T0 + 50);
      assert.deepEqual(back, { ...job, run_at: T0 + 50, updated_at: T0 + 50, last_error: 'exit code 1' });
      for (const handle of [store, other]) {
        assert.deepEqual(await handle.jobs.getJob('a'), back);
        assert.equal(await handle.dlq.getDead('a'), undefined);
        assert.equal(await handle.dlq.countDLQ(), 0);
      }
      assert.equal((await store.jobs.claimNext('w1', T0 + 50))?.attempts, 1);
    });

    storeTest('knows nothing of a job that is in the queue', async (store) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      assert.equal(await store.dlq.getDead('a'), undefined);
      assert.equal(await store.dlq.retryFromDLQ('a', T0), undefined);
      assert.deepEqual(idsOf(await store.jobs.listJobs()), ['a']);
    });

    storeTest(
      'is not disturbed by unknown fields that are called like those of the other record',
      async (store, other) => {
        const job = { ...pendingJob({ id: 'a' }), error: 7, failed_at: 'yesterday' };
        await bury(store, job);
        const dead = await other.dlq.getDead('a');
        assert.equal(dead?.error, 'exit code 1');
        assert.equal(dead.failed_at, T0);
        const { error: _, failed_at: __, ...plain } = job;
        assert.deepEqual(await store.dlq.retryFromDLQ('a', T0), { ...plain, last_error: 'exit code 1' });
      },
    );
  });

  describe(`${name}: config`, () => {
    storeTest('keeps what is set and leaves the other settings', async (store, other) => {
      await store.config.setConfig('max_retries', 7);
      await other.config.setConfig('backoff_base', 1.5);
      for (const handle of [store, other]) {
        assert.equal(await handle.config.getConfig('max_retries'), 7);
        assert.deepEqual(await handle.config.getAllConfig(), { ...DEFAULT_CONFIG, max_retries: 7, backoff_base: 1.5 });
      }
    });
  });

  describe(`${name}: workers`, () => {
    const record = (id: string, pid = 1): WorkerRecord => {
      return { id, role: 'worker', supervisor_id: null, pid, start_time: '1', boot_id: 'boot', started_at: T0 };
    };

    storeTest('are listed while they are registered', async (store, other) => {
      await store.workers.register(record('w1'));
      await other.workers.register({ ...record('s1'), role: 'supervisor' });
      const listed = await other.workers.listRecords();
      assert.deepEqual(listed.sort(byId), [{ ...record('s1'), role: 'supervisor' }, record('w1')]);
      await store.workers.unregister('w1');
      await store.workers.unregister('never was');
      assert.deepEqual(idsOf(await other.workers.listRecords()), ['s1']);
    });

    storeTest('that are condemned are not on record, but what is noted of their commands is', async (store, other) => {
      await store.workers.register(record('w1'));
      await store.workers.heartbeat('w1');
      writeGroupNote(store.workers.groupNote('w1', 1), { pgid: 7, startTime: '1' });
      assert.ok(existsSync(store.workers.recordFile('w1')));
      assert.deepEqual(await other.workers.survey(), { records: [record('w1')], unreadable: [], unrecorded: [] });
      await other.workers.condemn('w1');
      assert.ok(!existsSync(store.workers.recordFile('w1')));
      assert.deepEqual(await store.workers.survey(), { records: [], unreadable: [], unrecorded: ['w1'] });
      assert.deepEqual(await store.workers.listGroups('w1'), [{ pgid: 7, startTime: '1' }]);
      await store.workers.heartbeat('w1');
      await store.workers.unregister('w1');
      assert.deepEqual(await store.workers.survey(), { records: [], unreadable: [], unrecorded: [] });
    });

    storeTest('are listed once, as they registered last', async (store) => {
      await store.workers.register(record('w1', 1));
      await store.workers.register(record('w1', 2));
      assert.deepEqual(await store.workers.listRecords(), [record('w1', 2)]);
    });
  });

  describe(`${name}: look`, () => {
    storeTest('shows one moment, whatever others change meanwhile', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      const job = await store.jobs.claimNext('w', T0);
      assert.ok(job !== undefined);
      const seen = await store.look(async ({ jobs, dlq }) => {
        const before = (await jobs.countJobs()).processing;
        await other.dlq.moveToDLQ(job, 'exit code 1', T0);
        return [before, await dlq.countDLQ(), (await jobs.listJobs()).length];
      });
      assert.deepEqual(seen, [1, 0, 1]);
      assert.equal(await store.dlq.countDLQ(), 1);
    });
  });

  describe(`${name}: transaction`, () => {
    storeTest('joins verbs: they see each other, and nobody sees half of it', async (store, other) => {
      await bury(store, pendingJob({ id: 'dead', created_at: T0 - 1 }));
      const held = await store.transaction(async ({ jobs, dlq }) => {
        await jobs.createJob(pendingJob({ id: 'a' }));
        assert.equal((await jobs.getJob('a'))?.state, 'pending');
        await jobs.createJob(pendingJob({ id: 'b', priority: 1 }));
        assert.equal((await dlq.retryFromDLQ('dead', T0))?.id, 'dead');
        assert.deepEqual(await jobs.countJobs(), { pending: 3, processing: 0, completed: 0, failed: 0 });
        const first = await jobs.claimNext('w1', T0);
        assert.ok(first !== undefined);
        await dlq.moveToDLQ(first, 'exit code 1', T0);
        assert.equal(await dlq.countDLQ(), 1);
        return jobs.claimNext('w1', T0);
      });
      assert.equal(held?.id, 'dead');
      for (const handle of [store, other]) {
        assert.deepEqual(idsOf(await handle.jobs.listJobs('pending')), ['a']);
        assert.deepEqual(idsOf(await handle.jobs.listJobs('processing')), ['dead']);
        assert.deepEqual(idsOf(await handle.dlq.listDLQ()), ['b']);
      }
    });

    storeTest('keeps nothing when its work throws', async (store, other) => {
      await bury(store, pendingJob({ id: 'dead' }));
      await store.jobs.createJob(pendingJob({ id: 'held' }));
      await claim(store);
      const before = await everything(store);
      const failure = new Error('no');
      const attempt = store.transaction(async ({ jobs, dlq }) => {
        await jobs.createJob(pendingJob({ id: 'a' }));
        await jobs.markCompleted({ id: 'held', worker_id: 'w1' }, T0);
        await dlq.retryFromDLQ('dead', T0);
        throw failure;
      });
      await assert.rejects(attempt, failure);
      for (const handle of [store, other]) assert.deepEqual(await everything(handle), before);
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      assert.deepEqual(idsOf(await other.jobs.listJobs()), ['held', 'a']);
    });

    storeTest('adds all jobs or none', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'taken' }));
      for (const ids of [
        ['a', 'b', 'taken'],
        ['a', 'b', 'a'],
      ]) {
        const attempt = other.transaction(async ({ jobs }) => {
          for (const id of ids) await jobs.createJob(pendingJob({ id }));
        });
        await assert.rejects(attempt, isDuplicate(ids[2] ?? ''));
        for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['taken']);
      }
    });

    storeTest('goes on when its work has dealt with a refusal', async (store, other) => {
      await other.jobs.createJob(pendingJob({ id: 'taken' }));
      await store.transaction(async ({ jobs }) => {
        await jobs.createJob(pendingJob({ id: 'a' }));
        await assert.rejects(jobs.createJob(pendingJob({ id: 'taken' })), isDuplicate('taken'));
        await assert.rejects(jobs.createJob(pendingJob({ id: 'a' })), isDuplicate('a'));
      });
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['taken', 'a']);
      await store.jobs.createJob(pendingJob({ id: 'b' }));
      for (const handle of [store, other]) assert.deepEqual(idsOf(await handle.jobs.listJobs()), ['taken', 'a', 'b']);
    });

    storeTest('may change nothing', async (store) => {
      assert.equal(await store.transaction(async ({ jobs }) => (await jobs.listJobs()).length), 0);
    });

    storeTest('follows another when several are begun at once', async (store, other) => {
      await store.transaction(async ({ jobs }) => {
        for (let n = 0; n < 60; n++) await jobs.createJob(pendingJob({ id: `${n}`, created_at: T0 + n }));
      });
      const turns = Array.from({ length: 60 }, (_, n) =>
        (n % 2 === 0 ? store : other).transaction(async ({ jobs }) => (await jobs.claimNext(`w${n}`, T0))?.id),
      );
      assert.equal(new Set(await Promise.all(turns)).size, 60);
      assert.equal((await other.jobs.countJobs()).processing, 60);
    });
  });

  describe(`${name}: watch`, () => {
    storeTest('calls back after a change of the queue until it is ended', async (store, other) => {
      await store.jobs.createJob(pendingJob());
      let calls = 0;
      const end = other.watch(() => {
        calls += 1;
      });
      try {
        await store.jobs.createJob(pendingJob());
        await waitFor(() => calls > 0);
      } finally {
        end();
      }
    });
  });

  describe(`${name}: close`, () => {
    storeTest('leaves nothing undone, and may be called twice', async (store) => {
      await store.jobs.createJob(pendingJob());
      assert.equal(await store.close(), undefined);
      assert.equal(await store.close(), undefined);
    });
  });

  describe(`${name}: several processes`, () => {
    storeTest('four claim 400 jobs: each job is claimed once', async (store, _other, place) => {
      await store.transaction(async ({ jobs }) => {
        for (let n = 0; n < 400; n++) await jobs.createJob(pendingJob({ id: `job-${n}` }));
      });
      const children = ['w1', 'w2', 'w3', 'w4'].map((workerId) => startClaimer(opener, place, workerId));
      after(() => {
        for (const { child } of children) child.kill('SIGKILL');
      });
      await Promise.all(children.map(({ ready }) => ready));
      for (const { child } of children) child.stdin?.write('\n');
      const claimed = await Promise.all(children.map(({ claimed }) => claimed));
      assert.deepEqual(claimed.flat().sort(), Array.from({ length: 400 }, (_, n) => `job-${n}`).sort());
      assert.ok(claimed.every((ids) => ids.length > 0));
      for (const job of await store.jobs.listJobs()) {
        assert.equal(job.state, 'completed');
        assert.equal(job.attempts, 1);
      }
    });
  });
}

function startClaimer(opener: string, place: string, workerId: string) {
  const program = join(import.meta.dirname, 'claimer.ts');
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', program, opener, place, workerId], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { stdout } = child;
  assert.ok(stdout !== null);
  const ready = once(stdout, 'readable');
  const claimed = ready.then(async () => {
    const [, ids = ''] = (await text(stdout)).split('\n');
    return JSON.parse(ids) as string[]; // what claimer.ts prints
  });
  return { child, ready, claimed };
}

/** Claims the job that is next, which there must be. */
async function claim({ jobs }: Repositories, now = T0, workerId = 'w1'): Promise<ProcessingJob> {
  const job = await jobs.claimNext(workerId, now);
  assert.ok(job !== undefined);
  return job;
}

async function completeAll({ jobs }: Repositories): Promise<void> {
  for (;;) {
    const job = await jobs.claimNext('w3', T0 + 99);
    if (job === undefined) return;
    await jobs.markCompleted(job, T0 + 99);
  }
}

/** Adds a job and buries it; no other may be runnable. */
async function bury(store: Repositories, job: PendingJob): Promise<void> {
  await store.jobs.createJob(job);
  assert.equal(await store.dlq.moveToDLQ(await claim(store), 'exit code 1', T0), true);
}

async function everything({ jobs, dlq }: Repositories) {
  return {
    jobs: await jobs.listJobs(),
    counts: await jobs.countJobs(),
    dead: await dlq.listDLQ(),
  };
}

const idsOf = (records: readonly { readonly id: string }[]) => records.map(({ id }) => id);
const byId = (a: { readonly id: string }, b: { readonly id: string }) => a.id.localeCompare(b.id);
