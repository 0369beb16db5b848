/** An SQLite store without room, and on a file system that cannot be written to. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { APPLICATION_ID } from '../../../../db/stores/sql/schema.js';
import { mountingTests, withTmpfs } from '../../../faults/mounts.js';
import { pendingJob } from '../../../helpers/jobFactory.js';
import { describe, test } from '../../../helpers/sqliteTest.js';
import { tempStore } from '../../../helpers/tempStore.js';
import { sqliteStore, withSql } from './support.js';

mountingTests(import.meta.filename, () => {
  describe('an SQLite store', () => {
    test('without room says so, has nothing by halves, and goes on once there is some', () =>
      withTmpfs(join(tempStore(), 'disk'), 'size=1m', async ({ dir }) => {
        const path = join(dir, 'queue.db');
        const store = sqliteStore(path);
        const kept: string[] = [];
        const ballast = join(dir, 'ballast');
        await store.jobs.createJob(pendingJob({ id: 'first' }));
        kept.push('first');
        fs.writeFileSync(ballast, Buffer.alloc(600_000));
        let refusals = 0;
        for (let n = 0; refusals < 5; n++) {
          const id = `job-${n}`;
          try {
            await store.jobs.createJob(pendingJob({ id, command: 'x'.repeat(20_000) }));
            kept.push(id);
          } catch (error) {
            assert.match(
              String(error),
              /cannot (write|use) .*queue\.db: (no space left on device|input\/output error)/,
            );
            refusals += 1;
          }
          assert.ok(n < 200, 'the disk never gets full');
        }
        assert.deepEqual((await store.jobs.listJobs()).map(({ id }) => id).sort(), [...kept].sort());
        fs.rmSync(ballast);
        await store.jobs.createJob(pendingJob({ id: 'last', command: 'x'.repeat(20_000) }));
        const other = sqliteStore(path);
        assert.deepEqual((await other.jobs.listJobs()).map(({ id }) => id).sort(), [...kept, 'last'].sort());
        await other.close();
        await store.close();
      }));

    test('that is to be made without room says so, and leaves nothing', () =>
      withTmpfs(join(tempStore(), 'disk'), 'size=1m', async ({ dir }) => {
        const path = join(dir, 'queue.db');
        const ballast = join(dir, 'ballast');
        const store = sqliteStore(path);
        for (const free of [0, 8, 20, 40, 48, 60, 80]) {
          fs.writeFileSync(ballast, Buffer.alloc(1_048_576 - free * 1024));
          await assert.rejects(store.jobs.createJob(pendingJob({ id: 'a' })), {
            code: 'STORAGE',
            message: /queue\.db: no space left on device\. Make room and try again\.$/,
          });
        }
        fs.rmSync(ballast);
        assert.deepEqual(await store.jobs.listJobs(), []);
        await store.jobs.createJob(pendingJob({ id: 'b' }));
        assert.deepEqual(
          (await store.jobs.listJobs()).map(({ id }) => id),
          ['b'],
        );
        await store.close();
        assert.deepEqual(fs.readdirSync(dir), ['queue.db']);
      }));

    test('of an earlier version says so when there is no room to bring it to this one', () =>
      withTmpfs(join(tempStore(), 'disk'), 'size=1m', async ({ dir }) => {
        const path = join(dir, 'queue.db');
        withSql(path, `PRAGMA application_id = ${APPLICATION_ID}`);
        fs.chmodSync(path, 0o600);
        for (const free of [0, 20, 40, 60, 80]) {
          const store = sqliteStore(path);
          const ballast = join(dir, 'ballast');
          fs.writeFileSync(ballast, Buffer.alloc(1_048_576 - (8 + free) * 1024));
          await assert.rejects(store.jobs.createJob(pendingJob()), {
            code: 'STORAGE',
            message: /queue\.db: no space left on device\. Make room and try again\.$/,
          });
          fs.rmSync(ballast);
          await store.close();
        }
        const store = sqliteStore(path);
        await store.jobs.createJob(pendingJob({ id: 'a' }));
        assert.equal((await store.jobs.listJobs()).length, 1);
        await store.close();
      }));

    test('on a read-only file system says so', () =>
      withTmpfs(join(tempStore(), 'disk'), 'size=1m', async ({ dir, setReadOnly }) => {
        const path = join(dir, 'queue.db');
        const store = sqliteStore(path);
        await store.jobs.createJob(pendingJob({ id: 'a' }));
        await store.close();
        setReadOnly(true);
        const reader = sqliteStore(path);
        const error = { code: 'STORAGE', message: /\/disk: read-only file system\. The file system is read-only; / };
        await assert.rejects(reader.jobs.createJob(pendingJob()), error);
        await assert.rejects(reader.jobs.listJobs(), error);
        await reader.close();
        setReadOnly(false);
        const again = sqliteStore(path);
        assert.equal((await again.jobs.listJobs()).length, 1);
        await again.close();
      }));
  });
});
