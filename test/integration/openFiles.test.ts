/** What is open in the shell that starts workers stays with that shell, whatever its number. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { softLimit } from '../../utils/limits.js';
import { NO_PERL, pathWithPerl } from '../helpers/perl.js';
import { PROGRAM } from '../helpers/runCli.js';
import { waitFor } from '../helpers/waitFor.js';
import { storeTest, type TestStore } from './support.js';

const onLinux = process.platform === 'linux' ? undefined : 'it needs /proc';

const HIGH = 5000;
/** Node.js itself closes the first ones. */
const NUMBERS = [5, 15, 16, 25, 40, ...((softLimit('Max open files') ?? 0) > HIGH ? [HIGH] : [])];

/** Starts a worker with a file open under each of these numbers. */
async function startWithOpenFiles(store: TestStore, PATH: string): Promise<void> {
  const file = openSync(join(store.root, 'open'), 'w');
  const stdio = Array.from({ length: Math.max(...NUMBERS) + 1 }, (_, fd) => (NUMBERS.includes(fd) ? file : 'ignore'));
  const env = { PATH, HOME: store.root, ...store.env };
  const starts = spawn(process.execPath, [PROGRAM, 'worker-start'], { cwd: store.root, env, stdio });
  const [code] = await once(starts, 'exit');
  closeSync(file);
  assert.equal(code, 0);
}

const O_CLOEXEC = 0o2000000;

/** The files beyond 2 that a process would leave to what it starts. */
function inheritableFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    if (Number(fd) <= 2) return [];
    try {
      const [, flags = ''] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1')) ?? [];
      return Number.parseInt(flags, 8) & O_CLOEXEC ? [] : [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // it was closed meanwhile
    }
  });
}

for (const [how, pathFor] of [
  ['by the fork server', () => process.env.PATH ?? ''],
  ['without perl', ({ root }: TestStore) => pathWithPerl(root, NO_PERL)],
] as const) {
  storeTest(
    `neither workers nor jobs have a file of the shell that they were started from (${how})`,
    async (store) => {
      await startWithOpenFiles(store, pathFor(store));
      const records = [...store.records('supervisor'), ...store.records('worker')];
      assert.equal(records.length, 2);
      await store.enqueue({ id: 'a', command: 'ls /proc/$$/fd' });
      await waitFor(() => store.completed() === 1);
      for (const { pid, role } of records) {
        const names = inheritableFiles(pid).filter((name) => !/^(socket|anon_inode):/.test(name)); // its channel, its watch
        assert.deepEqual(names, [], `the ${role} has them open`);
      }
      assert.equal(readFileSync(join(store.dataDir, 'logs/a~1.log'), 'utf8'), '0\n1\n2\n');
      await store.ok('worker-stop');
    },
    onLinux,
  );
}
