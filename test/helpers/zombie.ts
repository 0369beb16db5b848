import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { lookUp } from '../../utils/processIdentity.js';
import { waitFor } from './waitFor.js';

/** @returns the pid of a process that has ended, and whose parent never asks for how, as long as the test goes on */
export async function makeZombie(t: TestContext): Promise<number> {
  // A shell may wait for what it has started before it becomes another program; this one never does.
  const script = '$| = 1; my $pid = fork; exit if $pid == 0; print "$pid\\n"; sleep 60';
  const parent = spawn('perl', ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => parent.kill('SIGKILL'));
  const [line] = await once(parent.stdout, 'data');
  const pid = Number(String(line));
  await waitFor(() => lookUp(pid)?.isZombie);
  return pid;
}
