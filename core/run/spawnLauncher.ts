/**
 * Starts commands as children of this process, each by a shell that notes its group, looks for the guard, and becomes the
 * command's shell; that takes it about a millisecond. Commands live on when this process is killed, and one that a real-time
 * signal ends has exited with 0, for all that Node tells.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { errnoCode } from '../../utils/errors.js';
import { makeToAppend } from '../../utils/files.js';
import { openGroupNote, readGroupNote } from './groupNote.js';
import {
  type Ending,
  type Launcher,
  notStarted,
  ownEnvironment,
  type Progress,
  type Run,
  SHORTAGES,
  type Step,
  shellArguments,
} from './launcher.js';

/** What the preamble exits with when the command is not to begin. A command may exit with it, too. */
const NOT_BEGUN = 125;

/** What follows the start time in a note when the command has not begun. */
const MARK = '!';

/** Leaves the shell's start time in a variable, as lookUp tells it; or nothing, where the system does not tell. */
const findStartTime = (platform: NodeJS.Platform) =>
  platform === 'linux'
    ? // Field 22; the second may hold spaces and parentheses.
      `{ read -r queuectl_note </proc/$$/stat; } 2>/dev/null
queuectl_note=\${queuectl_note##*") "}
queuectl_note=\${queuectl_note#${'* '.repeat(19)}}
queuectl_note=\${queuectl_note%% *}`
    : `queuectl_note=$(LC_ALL=C TZ=UTC ps -o lstart= -p $$ 2>/dev/null)
queuectl_note=\${queuectl_note%"\${queuectl_note##*[! ]}"}`;

/**
 * What a shell does before it becomes the command: it notes its group over what is blank, and sees that this can be read and
 * that the guard is there; if not, it marks the note. Nothing of it is left to the command. Exported for its test.
 *
 * File 3 and $1 are the note, $2 is the guard or empty, the rest are the arguments of the command's shell. The names of
 * the variables are nobody else's.
 */
export const preambleFor = (platform: NodeJS.Platform): string => `${findStartTime(platform)}
queuectl_note=$$\${queuectl_note:+ $queuectl_note}
printf %s "$queuectl_note" 2>/dev/null >&3
{ read -r queuectl_read <"$1"; } 2>/dev/null
if [ "$queuectl_read" = "$queuectl_note" ] && { [ -z "$2" ] || [ -e "$2" ]; }; then
shift 2
unset queuectl_note queuectl_read
exec /bin/sh "$@" 3>&-
fi
printf " ${MARK}" 2>/dev/null >&3
exit ${NOT_BEGUN}`;

const PREAMBLE = preambleFor(process.platform);

export class SpawnLauncher implements Launcher {
  launch(run: Run, progress: Progress): void {
    const files: number[] = [];
    const open = (step: Step, openFile: (path: string) => number, path: string): boolean => {
      try {
        files.push(openFile(path));
        return true;
      } catch (error) {
        progress.ended(notStarted(run, step, errnoOf(error)));
        return false;
      }
    };
    try {
      if (open('log', makeToAppend, run.logFile) && open('note', openGroupNote, run.groupNote)) {
        const [log = 0, note = 0] = files; // both are open
        this.spawn(run, log, note, progress);
      }
    } finally {
      for (const file of files) fs.closeSync(file);
    }
  }

  close(): void {}

  giveUp(): void {}

  private spawn(run: Run, log: number, note: number, progress: Progress): void {
    const failed = (error: unknown) => progress.ended(notStarted(run, spawnStep(run, error), errnoOf(error)));
    let child: ChildProcess;
    try {
      const args = ['-c', PREAMBLE, 'sh', run.groupNote, run.guard ?? '', ...shellArguments(run.command, 'sh')];
      child = spawn('/bin/sh', args, {
        argv0: 'sh',
        detached: true,
        env: { ...ownEnvironment(), ...run.env },
        stdio: ['ignore', log, log, note],
        ...(run.cwd === undefined ? {} : { cwd: run.cwd }),
      });
    } catch (error) {
      failed(error); // Node throws some codes and hands over others by an event
      return;
    }
    child.once('error', failed);
    const { pid } = child;
    if (pid === undefined) return;
    child.once('exit', (code, signal) => {
      if (signal !== null) progress.ended({ kind: 'signaled', signal });
      else if (code === NOT_BEGUN && !hasBegun(run, pid)) progress.ended(notBegun(run));
      else progress.ended({ kind: 'exited', code: code ?? 0 });
    });
    progress.started(pid);
  }
}

function hasBegun({ groupNote }: Run, pid: number): boolean {
  const group = readGroupNote(groupNote);
  return group?.pgid === pid && !group.startTime.endsWith(MARK);
}

/** Why the preamble has given up: the guard is gone, or else the note could not be written. */
function notBegun(run: Run): Ending {
  const isCondemned = run.guard !== undefined && run.guard !== '' && !fs.existsSync(run.guard);
  return notStarted(run, 'note', isCondemned ? ENOENT : ENOSPC);
}

const ENOENT = 2;
const ENOSPC = 28;

/** What a spawn was doing when it failed: the code is all it tells. */
function spawnStep(run: Run, error: unknown): Step {
  const code = errnoCode(error) ?? '';
  if (SHORTAGES.has(code)) return 'fork';
  return code === 'E2BIG' || run.cwd === undefined ? 'exec' : 'directory';
}

function errnoOf(error: unknown): number {
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') return -error.errno;
  throw error;
}
