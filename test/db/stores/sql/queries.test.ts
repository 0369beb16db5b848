/** Which index serves which query: with a wrong one a claim takes 25 times as long. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { JOB_STATES } from '../../../../db/model/job.js';
import { type Connection, loadDriver } from '../../../../db/stores/sql/driver.js';
import { listSql, SQL } from '../../../../db/stores/sql/records.js';
import { pendingJob } from '../../../helpers/jobFactory.js';
import { sqliteMissing, test } from '../../../helpers/sqliteTest.js';
import { sqliteStore, tempDatabase } from './support.js';

let connection: Connection; // set before the tests, which are skipped without a driver
before(async () => {
  if (sqliteMissing !== false) return;
  const path = tempDatabase();
  const store = sqliteStore(path);
  await store.jobs.createJob(pendingJob());
  await store.close();
  connection = loadDriver().connect(path);
});
after(() => {
  if (sqliteMissing === false) connection.close();
});

function planOf(sql: string): string[] {
  const values = Array.from({ length: sql.split('?').length - 1 }, () => 0);
  const rows = connection.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values);
  return rows.map(({ detail }) => String(detail));
}

const PLANS: Record<keyof typeof SQL, readonly RegExp[]> = {
  get: [/^SEARCH job_records USING INDEX sqlite_autoindex_job_records_1 \(id=\?\)$/],
  count: [/^SCAN job_records USING INDEX jobs_by_state$/],
  promote: [/^SEARCH job_records USING INDEX jobs_by_time \(due=\? AND run_at<\?\)$/],
  demote: [/^SEARCH job_records USING INDEX jobs_by_time \(due=\? AND run_at>\?\)$/],
  next: [/^SCAN job_records USING INDEX jobs_in_turn$/], // it has those only that are due, in their order
  wouldBeNext: [
    /^SEARCH job_records USING INDEX jobs_by_time \(due=\? AND run_at<\?\)$/,
    /^USE TEMP B-TREE FOR ORDER BY$/,
  ],
  nextRunAt: [/^SEARCH job_records USING INDEX jobs_by_time \(due=\?\)$/],
  numbers: [/^SCAN change$/], // one row
  add: [],
  replace: [/^SEARCH job_records USING INDEX sqlite_autoindex_job_records_1 \(id=\?\)$/],
  replaceInPlace: [/^SEARCH job_records USING INDEX sqlite_autoindex_job_records_1 \(id=\?\)$/],
  remove: [/^SEARCH job_records USING INDEX sqlite_autoindex_job_records_1 \(id=\?\)$/],
};

for (const [name, expected] of Object.entries(PLANS) as [keyof typeof SQL, readonly RegExp[]][]) {
  test(`${name} is served by its index`, () => {
    const plan = planOf(SQL[name]);
    assert.equal(plan.length, expected.length, plan.join('\n'));
    for (const [at, pattern] of expected.entries()) assert.match(plan[at] ?? '', pattern);
  });
}

for (const states of [['pending'], ['dead', 'failed'], JOB_STATES] as const) {
  test(`a list of ${states.join(', ')} merges what is in order already`, () => {
    const plan = planOf(listSql({ states }));
    const searches = plan.filter((line) => line.includes('jobs_by_state'));
    assert.deepEqual(
      searches,
      states.map(() => 'SEARCH job_records USING INDEX jobs_by_state (state=?)'),
    );
    // The last sorts what has been chosen.
    assert.ok(plan.filter((line) => line.includes('TEMP B-TREE')).length <= 1, plan.join('\n'));
    assert.ok(!plan.some((line) => line.startsWith('SCAN job_records')), plan.join('\n'));
  });
}

for (const name of ['count', 'nextRunAt'] as const) {
  test(`${name} reads no record: a million of them may be a megabyte each`, () => {
    const program = connection.prepare(`EXPLAIN ${SQL[name]}`).all(...(name === 'count' ? [] : [0]));
    const cursors = program.filter(({ opcode }) => opcode === 'OpenRead');
    const indexes = cursors.filter(({ p4 }) => String(p4).startsWith('k(')).map(({ p1 }) => p1);
    const read = program.filter(({ opcode }) => opcode === 'Column' || opcode === 'IdxRowid').map(({ p1 }) => p1);
    assert.ok(read.length > 0);
    assert.deepEqual(
      read.filter((cursor) => !indexes.includes(cursor)),
      [],
    );
  });
}
