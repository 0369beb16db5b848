import assert from 'node:assert/strict';
import { monotonicMs } from '../../../../utils/clock.js';
import { T0 } from '../../../helpers/jobFactory.js';
import { test } from '../../../helpers/sqliteTest.js';
import { sqliteStore, tempDatabase, withSql } from './support.js';

const record = { role: 'worker', supervisor_id: null, pid: 1, start_time: '1', boot_id: 'b', started_at: T0 } as const;

test('a worker is heard of, by both clocks, when it registers and with each sign of life', async () => {
  let now = T0;
  const store = sqliteStore(tempDatabase(), { clock: () => now });
  const before = monotonicMs();
  await store.workers.register({ id: '1-a', ...record });
  const heardOf = async () => (await store.workers.list()).records[0]?.heard_of;
  const first = await heardOf();
  assert.equal(first?.at, T0);
  assert.ok(first.monotonic >= before && first.monotonic <= monotonicMs());
  now += 5000;
  await store.workers.heartbeat('1-a');
  const second = await heardOf();
  assert.equal(second?.at, T0 + 5000);
  assert.ok(second.monotonic > first.monotonic);
  await store.close();
});

test('a record that cannot be read is told with what is wrong, and hides no other', async () => {
  const path = tempDatabase();
  const store = sqliteStore(path);
  for (const id of ['1-a', '2-b', '3-c']) await store.workers.register({ id, ...record });
  withSql(
    path,
    `UPDATE workers SET record = '{' WHERE id = '1-a'; UPDATE workers SET record = json_set(record, '$.pid', 'x') WHERE id = '2-b'`,
  );
  const { records, unreadable } = await store.workers.list();
  assert.deepEqual(
    records.map(({ id }) => id),
    ['3-c'],
  );
  assert.deepEqual(
    unreadable.map(({ id, fault }) => [id, fault.code, fault.fact]),
    [
      ['1-a', 'DAMAGED', `${path} is damaged: worker 1-a: it is not JSON`],
      ['2-b', 'DAMAGED', `${path} is damaged: worker 2-b: "pid" must be an integer from 1 to 9007199254740991`],
    ],
  );
  for (const { id } of unreadable) await store.workers.unregister(id);
  assert.deepEqual((await store.workers.list()).unreadable, []);
  await store.close();
});
