import assert from 'node:assert/strict';
import { pendingJob, T0 } from '../../helpers/jobFactory.js';
import type { StoreKind } from './kinds.js';
import { claim, topic } from './support.js';

const IDS = [
  'ä "quoted"\\',
  "'; DROP TABLE job_records; --",
  '%',
  '__proto__',
  'constructor',
  '../../etc/passwd',
  '?1',
  '🚀'.repeat(255),
  ' leading and trailing ',
  '\u2028\ufeff',
  'null',
  '0',
];
const TEXTS = [
  'echo "a\nb" ~ \u2028',
  `printf '%s' "$(cat <<'EOF'\n\\0 \\u0000\nEOF\n)"`,
  '{"id":"other","state":"dead"}',
  '🚀é\u200b\t\r\n',
  "it's; -- ? :name @x $y",
];
/** As the output of a command may have it; the rules of a command keep it out there. */
const UNSPEAKABLE = 'a\u0000b \ud800 \udc00\ud800 c\u0007';
const MEGABYTE = `echo ${'x"\\\n'.repeat(250_000)}`;
/** SQLite reads JSON down to a depth of 1000. */
const DEPTH = 900;

export function describeHostileText(kind: StoreKind): void {
  topic(kind, 'text of any kind', (storeTest) => {
    storeTest('is an id', async (store, other) => {
      for (const id of IDS) await store.jobs.createJob(pendingJob({ id }));
      for (const id of IDS) {
        assert.equal((await other.jobs.getJob(id))?.id, id);
        await assert.rejects(other.jobs.createJob(pendingJob({ id })), { code: 'DUPLICATE_ID' });
      }
      const claimed: string[] = [];
      for (const _ of IDS) claimed.push((await claim(other)).id);
      assert.deepEqual(claimed, IDS);
      assert.equal(await other.jobs.getJob('%%'), undefined);
    });

    storeTest('is a command, a directory, a worker, a claim', async (store, other) => {
      for (const [n, text] of TEXTS.entries()) {
        await store.jobs.createJob(pendingJob({ id: `${n}`, command: text, cwd: `/tmp/${text}` }));
        const held = await other.jobs.claimNext(text, T0, text);
        assert.equal(held?.command, text);
        assert.equal(held.worker_id, text);
        assert.equal(await store.jobs.markCompleted(held, T0), true);
        assert.equal((await other.jobs.getJob(`${n}`))?.cwd, `/tmp/${text}`);
      }
    });

    storeTest('is an error, NUL and lone surrogates included', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a' }));
      await store.jobs.reschedule(await claim(store), { runAt: T0, error: UNSPEAKABLE }, T0);
      assert.equal((await other.jobs.getJob('a'))?.last_error, UNSPEAKABLE);
      await other.dlq.moveToDLQ(await claim(other), UNSPEAKABLE, T0);
      assert.equal((await store.dlq.listDLQ())[0]?.error, UNSPEAKABLE);
      assert.equal((await store.dlq.retryFromDLQ('a', T0))?.last_error, UNSPEAKABLE);
    });

    storeTest('is a megabyte long', async (store, other) => {
      await store.jobs.createJob(pendingJob({ id: 'a', command: MEGABYTE }));
      await store.dlq.moveToDLQ(await claim(store), MEGABYTE, T0);
      await other.dlq.retryFromDLQ('a', T0);
      const held = await claim(other);
      assert.ok(held.command === MEGABYTE && held.last_error === MEGABYTE);
    });

    storeTest('is in a field that this version does not know, by any name and at any depth', async (store, other) => {
      let deep: unknown = UNSPEAKABLE;
      for (let n = 0; n < DEPTH; n++) deep = n % 2 === 0 ? [deep] : { deep };
      const strange = JSON.parse(`{"__proto__":{"state":"dead"},"a\\u0000":${JSON.stringify(deep)},"":1,"$.state":2}`);
      await store.jobs.createJob({ ...pendingJob({ id: 'a' }), ...strange });
      await other.jobs.reschedule(await claim(other), { runAt: T0, error: '' }, T0);
      const job = await store.jobs.getJob('a');
      for (const name of Object.keys(strange)) {
        const { value } = Object.getOwnPropertyDescriptor(job, name) ?? {};
        assert.equal(JSON.stringify(value), JSON.stringify(Object.getOwnPropertyDescriptor(strange, name)?.value));
      }
    });
  });
}
