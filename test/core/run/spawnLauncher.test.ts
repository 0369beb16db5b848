/** What a shell does before it becomes a command. (jobProcessor.test.ts has what both ways to start one have in common.) */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openGroupNote, readGroupNote } from '../../../core/run/groupNote.js';
import type { Ending, Progress, Run } from '../../../core/run/launcher.js';
import { preambleFor, SpawnLauncher } from '../../../core/run/spawnLauncher.js';
import { startTimeOf } from '../../../utils/processIdentity.js';
import { tempStore } from '../../helpers/tempStore.js';
import { waitFor } from '../../helpers/waitFor.js';

/** Some of the shells that may be a system's `sh`. */
const SHELLS = [['sh'], ['dash'], ['bash', '--posix'], ['busybox', 'sh'], ['mksh'], ['yash'], ['ksh']] as const;

interface Preamble {
  readonly note: string;
  /** What file 3 is, if not the note. */
  readonly file?: string;
  readonly guard?: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly platform?: NodeJS.Platform;
}

/** Runs the preamble in a shell, as the launcher does. */
function run([shell, ...options]: readonly string[], { note, file, guard = '', command, env, platform }: Preamble) {
  const fd = file === undefined ? openGroupNote(note) : fs.openSync(file, 'w');
  const preamble = preambleFor(platform ?? process.platform);
  const result = spawnSync(shell ?? '', [...options, '-c', preamble, 'sh', note, guard, ...command], {
    stdio: ['ignore', 'pipe', 'pipe', fd],
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
  });
  fs.closeSync(fd);
  return result;
}

const newNote = () => join(tempStore(), 'note');

for (const shell of SHELLS) {
  describe(shell.join(' '), { skip: spawnSync(shell[0]).error !== undefined && 'it is not here' }, () => {
    test('becomes the command, which is noted, with its name, arguments, lines and environment', () => {
      const note = newNote();
      const script = 'echo "$0 $#"\necho $$\ncat "$NOTE"\ncat /proc/$$/stat\nls /proc/$$/fd\nenv\nnosuch-program';
      const { stdout, stderr, status, pid } = run(shell, { note, command: ['-c', script, 'sh'], env: { NOTE: note } });
      const [name, own, noted = '', stat = '', ...rest] = stdout.trimEnd().split('\n');
      assert.deepEqual([name, own], ['sh 0', String(pid)]);
      const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
      assert.equal(`${noted}\n`, `${`${pid} ${startTime}`.padEnd(47)}\n`);
      assert.equal(status, 127);
      assert.match(stderr, /^sh: .*7: .*nosuch-program/);
      const bare = spawnSync('sh', ['-c', 'ls /proc/$$/fd; env'], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, NOTE: note },
        encoding: 'utf8',
      });
      const variables = (lines: string[]) => lines.filter((line) => !/^(_|OLDPWD|SHLVL)=/.test(line)).sort();
      assert.deepEqual(variables(rest), variables(bare.stdout.trimEnd().split('\n')));
    });

    test('hands on arguments of every kind', () => {
      const odd = ['a b', '', '*', '$HOME', "it's", 'two\nlines', '-n', '\\', '"'];
      const { stdout } = run(shell, { note: newNote(), command: ['-c', 'printf "<%s>" "$@"', 'sh', ...odd] });
      assert.equal(stdout, odd.map((text) => `<${text}>`).join(''));
    });

    const guard = join(tempStore(), 'guard');
    fs.writeFileSync(guard, '');
    const missing = `${guard}.missing`;
    const cases: [what: string, options: (note: string) => Partial<Preamble>, begins: boolean][] = [
      ['the guard is there', () => ({ guard }), true],
      ['there is no guard', () => ({ guard: missing }), false],
      ['the disk is full', () => ({ guard, file: '/dev/full' }), false],
      ['the note is written elsewhere', () => ({ guard, file: `${guard}.elsewhere` }), false],
      ['the note is gone', (note) => ({ guard, file: `${note}.elsewhere`, note: `${note}.gone` }), false],
    ];
    for (const [what, options, begins] of cases) {
      test(`${begins ? 'begins' : 'does not begin'} when ${what}`, () => {
        const note = newNote();
        fs.closeSync(openGroupNote(note));
        const { stdout, stderr, status, pid } = run(shell, {
          note,
          command: ['-c', 'echo begun; exit 3'],
          ...options(note),
        });
        assert.deepEqual(
          { stdout, stderr, status },
          { stdout: begins ? 'begun\n' : '', stderr: '', status: begins ? 3 : 125 },
        );
        const group = readGroupNote(note);
        if (begins) assert.deepEqual([group?.pgid, group?.startTime.endsWith('!')], [pid, false]);
        else assert.ok(group === undefined || group.startTime.endsWith('!'), JSON.stringify(group));
        assert.equal(fs.statSync(note).size, 48);
      });
    }

    test('notes the start time as ps tells it where there is no /proc', {
      skip: spawnSync('ps').error !== undefined,
    }, () => {
      const note = newNote();
      const script = 'cat "$NOTE"; LC_ALL=C TZ=UTC ps -o lstart= -p $$';
      const platform = 'darwin';
      const { stdout, pid } = run(shell, { note, command: ['-c', script], env: { NOTE: note }, platform });
      const [noted = '', lstart = ''] = stdout.split('\n');
      assert.match(lstart, /^\w{3} \w{3} .+ \d{4}/);
      assert.equal(noted.trimEnd(), `${pid} ${lstart.trimEnd()}`);
    });
  });
}

/** Starts a command. @returns what becomes of it, told in order */
function launch(run: Run): unknown[] {
  const told: unknown[] = [];
  const progress: Progress = {
    started: (pid) => told.push(pid),
    ended: (ending: Ending) => told.push(ending),
  };
  new SpawnLauncher().launch(run, progress);
  return told;
}

describe('a spawned command', () => {
  const newRun = (command: string, options: Partial<Run> = {}): Run => {
    const dir = tempStore();
    return { command, env: {}, logFile: join(dir, 'log'), groupNote: join(dir, 'note'), ...options };
  };

  test('is told of before it has been noted, and not started is told after that', async () => {
    const run = newRun('echo begun', { guard: join(tempStore(), 'missing') });
    const told = launch(run);
    const [pid] = told;
    assert.equal(typeof pid, 'number');
    await waitFor(() => told.length === 2);
    const [, ending] = told;
    const reason = `cannot write ${run.groupNote}: no such file or directory`;
    assert.deepEqual(ending, { kind: 'not started', reason, hindrance: true });
    assert.equal(fs.readFileSync(run.logFile, 'utf8'), '');
  });

  test('does not begin when a directory is in the place of its note', () => {
    const run = newRun('echo begun');
    fs.mkdirSync(run.groupNote);
    const [ending, ...more] = launch(run) as Ending[];
    assert.deepEqual(more, []);
    assert.ok(ending?.kind === 'not started' && ending.hindrance === true);
    assert.match(ending.reason, /^cannot write .*note: /);
  });

  test('has begun though it exits as one that has not', { skip: process.platform !== 'linux' }, async () => {
    const guard = join(tempStore(), 'guard');
    fs.writeFileSync(guard, '');
    const run = newRun('echo begun; exit 125', { guard });
    const told = launch(run);
    await waitFor(() => told.length === 2);
    const [, ending] = told;
    assert.deepEqual(ending, { kind: 'exited', code: 125 });
    assert.equal(fs.readFileSync(run.logFile, 'utf8'), 'begun\n');
    assert.ok(Number(readGroupNote(run.groupNote)?.startTime) >= Number(startTimeOf(process.pid)));
  });
});
