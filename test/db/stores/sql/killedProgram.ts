/**
 * Makes a database, or puts what it can read of one in its place, and is killed before one of its calls of the file system.
 * Usage: killedProgram.ts make|salvage <path> <call>, the calls counted from 1. It exits with 0 when there are fewer.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { sqlitePaths } from '../../../../db/stores/sql/paths.js';
import { salvage } from '../../../../db/stores/sql/salvage.js';
import { pendingJob } from '../../../helpers/jobFactory.js';
import { storeAt } from '../../../helpers/testStore.js';

const [task, path = '', call] = process.argv.slice(2);
let calls = 0;
for (const name of ['openSync', 'linkSync', 'symlinkSync', 'renameSync', 'rmSync', 'fsyncSync', 'mkdirSync'] as const) {
  const real = fs[name];
  Object.assign(fs, {
    [name]: (...args: unknown[]) => {
      calls += 1;
      if (calls === Number(call)) process.kill(process.pid, 'SIGKILL');
      return Reflect.apply(real, fs, args);
    },
  });
}
syncBuiltinESMExports();

if (task === 'salvage') {
  salvage(sqlitePaths(path), `${path}-state/replaced/${call}`);
} else {
  const store = storeAt({ kind: 'sqlite', path });
  await store.jobs.createJob(pendingJob({ id: 'killed' }));
  await store.close();
}
