import { writeFileSync } from 'node:fs';
import type { ProcessGroup } from '../../core/run/groupNote.js';

/** Notes a group as a process that is about to become a command does. */
export function writeGroupNote(path: string, { pgid, startTime }: ProcessGroup): void {
  writeFileSync(path, `${`${pgid} ${startTime}`.padEnd(47)}\n`, { mode: 0o600 });
}
