/**
 * A process that uses an SQLite store. Usage: program.ts subscribe|add <path>
 * `subscribe` has nothing else to do, and so ends; `add` adds jobs until it is killed, and prints the id of each.
 */
import fs from 'node:fs';
import { pendingJob, T0 } from '../../../helpers/jobFactory.js';
import { storeAt } from '../../../helpers/testStore.js';

const [task, path = ''] = process.argv.slice(2);
const store = storeAt({ kind: 'sqlite', path }, { role: 'worker', clock: () => T0 });

if (task === 'subscribe') {
  await store.jobs.createJob(pendingJob());
  store.store.subscribe(() => {});
  process.emitWarning('of the program itself', 'ExperimentalWarning');
} else {
  for (let n = 0; ; n++) {
    const id = `${process.pid}-${n}`;
    await store.jobs.createJob(pendingJob({ id }));
    fs.writeSync(1, `${id}\n`);
  }
}
