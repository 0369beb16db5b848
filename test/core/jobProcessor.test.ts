import assert from 'node:assert/strict';
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { JobProcessor, lastLineOf, type Run } from '../../core/jobProcessor.js';
import { ForkServer } from '../../core/run/forkServer.js';
import { isLeader, readGroupNote } from '../../core/run/groupNote.js';
import type { Launcher, Progress } from '../../core/run/launcher.js';
import { endGroup, groupExists } from '../../core/run/processGroup.js';
import { SpawnLauncher } from '../../core/run/spawnLauncher.js';
import type { Outcome } from '../../db/model/lifecycle.js';
import { lookUp } from '../../utils/processIdentity.js';
import { tempStore } from '../helpers/tempStore.js';
import { waitFor } from '../helpers/waitFor.js';

const onLinux = process.platform === 'linux';
const TOO_LONG_MS = 20_000;
/** For tests that would wait for ever. */
const DEADLINE_MS = 60_000;
const onLinuxOnly = { skip: !onLinux, timeout: DEADLINE_MS };

/** Where a fork server is expected to work, nothing may fall back silently. */
const noFallback: Launcher = {
  launch: () => assert.fail('the fork server does not work here'),
  close: () => {},
  giveUp: () => {},
};
const newForkServer = () => new ForkServer(onLinux ? noFallback : new SpawnLauncher());

const LAUNCHERS: [name: string, launcher: () => Launcher][] = [
  ['fork server', newForkServer],
  ['spawn', () => new SpawnLauncher()],
];

const exited = (code: number, lastLine = ''): Outcome => ({ kind: 'exited', code, lastLine });
const signaled = (signal: string, lastLine = ''): Outcome => ({ kind: 'signaled', signal, lastLine });
const notStarted = (reason: string, hindrance = false): Outcome => ({
  kind: 'not started',
  reason,
  ...(hindrance ? { hindrance } : {}),
});

/** A run that logs to a new file. */
function newRun(command: string, options: Partial<Run> = {}): Run {
  const dir = tempStore();
  return { command, env: {}, logFile: join(dir, 'log'), groupNote: join(dir, 'note'), ...options };
}

const logOf = (run: Run) => readFileSync(run.logFile, 'utf8');

/** The number that a command has printed as its first line. */
async function pidIn(run: Run): Promise<number> {
  return Number(await waitFor(() => existsSync(run.logFile) && logOf(run).split('\n').slice(0, -1)[0]));
}

const isGone = (pid: number) => lookUp(pid)?.isZombie !== false;

const STDIO = ['0', '1', '2'];
/** The open files of a shell that is given these: those, and what whoever started the tests left open for all. */
const inheritedFiles = () => spawnSync('ls /proc/$$/fd', { shell: true, encoding: 'utf8' }).stdout.trim().split('\n');

/** Whatever a failing test leaves behind. */
const endsAfter = (t: TestContext, pgid: number) => t.after(() => endGroup(pgid, 0));

for (const [name, newLauncher] of LAUNCHERS) {
  describe(name, { timeout: DEADLINE_MS }, () => {
    const processor = new JobProcessor(newLauncher());
    after(() => processor.close());
    const outcomeOf = (run: Run) => processor.process(run).ended;

    const endings: [command: string, outcome: Outcome][] = [
      ['true', exited(0)],
      ['echo not kept; true', exited(0)],
      ['exit 1', exited(1)],
      ['exit 255', exited(255)],
      ['nosuch-program 2>/dev/null', exited(127)],
      ['exit 125', exited(125)],
      ['exit 143', exited(143)],
      ['kill -TERM $$', signaled('SIGTERM')],
      ['kill -KILL $$', signaled('SIGKILL')],
      ['ulimit -c 0; kill -SEGV $$', signaled('SIGSEGV')],
      ['ulimit -c 0; kill -ABRT $$', signaled('SIGABRT')],
      ['echo first; echo last; exit 2', exited(2, 'last')],
      ['echo out; echo err >&2; exit 2', exited(2, 'err')],
      ['echo said; kill -TERM $$', signaled('SIGTERM', 'said')],
      ["printf 'caf\\303\\251 \\342\\234\\223'; exit 2", exited(2, 'café ✓')],
      ["printf 'caf\\351'; exit 2", exited(2, 'caf\ufffd')],
      ['--no-option 2>/dev/null; exit 5', exited(5)],
      ['+x 2>/dev/null; exit 5', exited(5)],
    ];
    if (name !== 'spawn' && onLinux) endings.push(['kill -40 $$', signaled('signal 40')]);
    for (const [command, outcome] of endings) {
      test(`${JSON.stringify(command)} ends with ${JSON.stringify(outcome)}`, async () => {
        assert.deepEqual(await outcomeOf(newRun(command)), outcome);
      });
    }

    const outputs: [what: string, command: string, output: string][] = [
      [
        'stdout and stderr in order',
        'for i in 1 2 3; do echo out$i; echo err$i >&2; done',
        'out1\nerr1\nout2\nerr2\nout3\nerr3\n',
      ],
      ['several lines', 'echo one\n\n# a comment\nif true\nthen echo two; fi\n', 'one\ntwo\n'],
      ['a here-document', 'cat <<end\n$((1 + 1))\nend\n', '2\n'],
      ['quotes', `echo 'it'"'"'s' "a  \\"b\\"" \\$HOME \`echo x\` $(echo "y z")`, `it's a  "b" $HOME x y z\n`],
      ['$0 and no arguments', 'echo "$0 $#"', 'sh 0\n'],
      ['an empty stdin', 'cat; readlink /proc/self/fd/0 || echo /dev/null', '/dev/null\n'],
      ['UTF-8', 'printf %s "é✓😀"', 'é✓😀'],
      ['bytes that are no text', "printf '\\377\\001' | od -An -tx1", ' ff 01\n'],
    ];
    for (const [what, command, output] of outputs) {
      test(what, async () => {
        const run = newRun(command);
        assert.deepEqual(await outcomeOf(run), exited(0));
        assert.equal(logOf(run), output);
      });
    }

    test('1 MB of output', async () => {
      const run = newRun('head -c 1000000 /dev/zero | tr "\\0" x; echo; echo end; exit 1');
      assert.deepEqual(await outcomeOf(run), exited(1, 'end'));
      assert.equal(statSync(run.logFile).size, 1_000_005);
    });

    test('a command of 1 MB is run as it is', async () => {
      const text = '😀é"$x`\\ \n'.repeat(80_000);
      const run = newRun(`printf %s '${text}'\necho; echo "$0 $#"; nosuch-program; exit 7`);
      assert.ok(Buffer.byteLength(run.command) > 1_000_000);
      const outcome = await outcomeOf(run);
      assert.equal(outcome.kind === 'exited' && outcome.code, 7);
      assert.equal(logOf(run).slice(0, text.length + 1), `${text}\n`);
      assert.match(logOf(run).slice(text.length + 1), /^sh 0\nsh: .*80002: .*nosuch-program/);
    });

    test('the output begins empty, and what was there goes on under no name', async () => {
      const run = newRun('echo later; exit 3');
      writeFileSync(run.logFile, 'earlier\n');
      const earlier = openSync(run.logFile, 'r+');
      assert.deepEqual(await outcomeOf({ ...run, command: 'exit 3' }), exited(3));
      assert.equal(logOf(run), '');
      assert.deepEqual(await outcomeOf(run), exited(3, 'later'));
      assert.equal(logOf(run), 'later\n');
      assert.equal(readFileSync(earlier, 'utf8'), 'earlier\n');
      closeSync(earlier);
    });

    test('a link in the place of the output is taken away, and what it leads to stays as it is', async () => {
      const run = newRun('echo said');
      const victim = join(dirname(run.logFile), 'victim');
      writeFileSync(victim, 'untouched');
      symlinkSync(victim, run.logFile);
      assert.deepEqual(await outcomeOf(run), exited(0));
      assert.deepEqual([readFileSync(victim, 'utf8'), logOf(run)], ['untouched', 'said\n']);
    });

    test('the log is private', async () => {
      const run = newRun('true');
      await outcomeOf(run);
      assert.equal(statSync(run.logFile).mode & 0o777, 0o600);
    });

    test('a log that the command removes costs only the last line', async () => {
      const run = newRun('rm "$LOG"; exit 4');
      const outcome = await outcomeOf({ ...run, env: { LOG: run.logFile } });
      assert.deepEqual(outcome, exited(4, '(its log cannot be read: ENOENT)'));
    });

    test('the directory', async () => {
      const cwd = realpathSync(tempStore());
      const run = newRun('pwd', { cwd });
      const runHere = newRun('pwd');
      assert.deepEqual(await outcomeOf(run), exited(0));
      assert.deepEqual(await outcomeOf(runHere), exited(0));
      assert.equal(logOf(run), `${cwd}\n`);
      assert.equal(logOf(runHere), `${process.cwd()}\n`);
    });

    test('variables are added to the environment', async () => {
      const env = { A: 'two\nlines', B: `"q" 'q' $A = \\`, C: '' };
      const run = newRun('printf "%s|" "$A" "$B" "${C-unset}" "$PATH"', { env });
      assert.deepEqual(await outcomeOf(run), exited(0));
      assert.equal(logOf(run), `${env.A}|${env.B}||${process.env.PATH}|`);
      const next = newRun('printenv A || echo unset');
      await outcomeOf(next);
      assert.equal(logOf(next), 'unset\n');
    });

    test('what could not be started', async () => {
      const dir = tempStore();
      const file = join(dir, 'file');
      writeFileSync(file, '');
      const missing = join(dir, 'missing');
      const ran = join(dir, 'ran');
      const command = `touch ${ran}`;
      const logFile = join(dir, 'log');
      const note = `cannot write ${missing}/note: no such file or directory`;
      const guarded = newRun(command, { guard: missing });
      const cases: [run: Run, reason: string, hindrance?: boolean][] = [
        [newRun(command, { cwd: missing }), `cannot enter the directory ${missing}: no such file or directory`],
        [newRun(command, { cwd: file }), `cannot enter the directory ${file}: not a directory`],
        [newRun(command, { logFile: dir }), `cannot open the log file ${dir}: illegal operation on a directory`],
        [
          newRun(command, { logFile: join(missing, 'log') }),
          `cannot open the log file ${missing}/log: no such file or directory`,
          true,
        ],
        [newRun(command, { groupNote: join(missing, 'note') }), note, true],
        [guarded, `cannot write ${guarded.groupNote}: no such file or directory`, true],
        [
          newRun(command, { cwd: dir, env: { BIG: 'x'.repeat(200_000) } }),
          'cannot run /bin/sh: argument list too long',
        ],
        [newRun(`${command} #${'x'.repeat(8_000_000)}`), 'cannot run /bin/sh: argument list too long'],
        [newRun(`${command}\0`), 'its command, directory or environment has a NUL character'],
        [newRun(command, { env: { A: '\0' } }), 'its command, directory or environment has a NUL character'],
      ];
      for (const [run, reason, hindrance] of cases) {
        assert.deepEqual(await outcomeOf(run), notStarted(reason, hindrance));
        if (existsSync(dirname(run.groupNote))) assert.equal(readGroupNote(run.groupNote), undefined);
      }
      assert.deepEqual(await outcomeOf(newRun('echo still works', { logFile })), exited(0));
      assert.deepEqual(readdirSync(dir).sort(), ['file', 'log'], 'no command ran');
    });

    test('what a success leaves in the background goes on', async (t) => {
      const run = newRun('sleep 60 & echo $!');
      const command = processor.process(run);
      assert.deepEqual(await command.ended, exited(0));
      const pid = Number(logOf(run));
      t.after(() => process.kill(pid, 'SIGKILL'));
      await command.end(0);
      assert.equal(isGone(pid), false);
    });

    test('what a failure leaves in the background is ended first', async () => {
      const run = newRun('sleep 60 & echo $!; exit 3');
      const outcome = await outcomeOf(run);
      const pid = Number(logOf(run));
      assert.deepEqual(outcome, exited(3, String(pid)));
      assert.equal(isGone(pid), true);
    });

    test('end() ends the whole group', async (t) => {
      const run = newRun('sleep 60 & echo $$; wait');
      const command = processor.process(run);
      const pgid = await pidIn(run);
      endsAfter(t, pgid);
      await command.end(TOO_LONG_MS);
      assert.equal(groupExists(pgid), false);
      assert.deepEqual(await command.ended, signaled('SIGTERM', String(pgid)));
    });

    test('end() kills what ignores SIGTERM after the grace period', async (t) => {
      const run = newRun('trap "" TERM; sleep 60 & echo $$; wait');
      const command = processor.process(run);
      const pgid = await pidIn(run);
      endsAfter(t, pgid);
      const begin = performance.now();
      await command.end(200);
      assert.ok(performance.now() - begin >= 200);
      assert.equal(groupExists(pgid), false);
      assert.deepEqual(await command.ended, signaled('SIGKILL', String(pgid)));
    });

    test('end() kills a child that outlives the shell', async (t) => {
      const run = newRun('(trap "" TERM; echo $$; while :; do sleep 60; done) & wait');
      const command = processor.process(run);
      const pgid = await pidIn(run);
      endsAfter(t, pgid);
      await command.end(200);
      assert.equal(groupExists(pgid), false);
      assert.deepEqual(await command.ended, signaled('SIGTERM', String(pgid)));
    });

    const timeouts: [what: string, command: string, lastLine: string][] = [
      ['that goes on', 'echo begun; sleep 60 & wait', 'begun'],
      ['that ignores SIGTERM', 'trap "" TERM; sleep 60 & while :; do sleep 0.1; done', ''],
      ['that cleans up and exits with 0', 'trap "echo cleaned; exit 0" TERM; sleep 60 & wait', 'cleaned'],
      ['whose children ignore SIGTERM', '(trap "" TERM; while :; do sleep 60; done) & wait', ''],
      ['that closes its output', 'echo begun; exec >&- 2>&-; sleep 60', 'begun'],
    ];
    for (const [what, line, lastLine] of timeouts) {
      test(`a command ${what} times out, with its whole group`, async (t) => {
        const run = newRun(`echo $$ > "$PIDFILE"; ${line}`, { env: { PIDFILE: join(tempStore(), 'pid') } });
        const command = processor.process(run, { timeoutSeconds: 0.3, graceMs: 200 });
        const pidFile = run.env.PIDFILE ?? '';
        const pgid = Number(await waitFor(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8').trim()));
        endsAfter(t, pgid);
        assert.deepEqual(await command.ended, { kind: 'timed out', seconds: 0.3, lastLine });
        assert.equal(groupExists(pgid), false);
      });
    }

    test('output beyond the limit is cut off, while the command runs and when it ends', async () => {
      const mark = '\n[queuectl: the output is cut here, after 1000 bytes]\n';
      const run = newRun(
        'head -c 3000000 /dev/zero; sleep 1.2; head -c 5000 /dev/zero; echo; echo the last word; exit 3',
      );
      const command = processor.process(run, { maxOutputBytes: 1000 });
      await waitFor(() => existsSync(run.logFile) && logOf(run).endsWith(mark));
      assert.equal(logOf(run), `${'\0'.repeat(1000)}${mark}`);
      assert.deepEqual(await command.ended, exited(3, 'the last word'));
      assert.equal(logOf(run), `${'\0'.repeat(1000)}${mark}`);
      const short = newRun('head -c 1000 /dev/zero');
      await processor.process(short, { maxOutputBytes: 1000 }).ended;
      assert.equal(logOf(short).length, 1000);
      const unlimited = newRun('head -c 5000 /dev/zero');
      await processor.process(unlimited, { maxOutputBytes: 0 }).ended;
      assert.equal(logOf(unlimited).length, 5000);
    });

    test('a command that ends in time has not timed out, and nothing waits for the time to pass', async () => {
      const began = performance.now();
      const limits = { timeoutSeconds: 100, graceMs: 0 };
      assert.deepEqual(await processor.process(newRun('exit 4'), limits).ended, exited(4));
      const missing = newRun('true', { cwd: '/no/such/directory' });
      assert.equal((await processor.process(missing, limits).ended).kind, 'not started');
      assert.ok(performance.now() - began < 50_000);
    });

    test('end() before the command runs', async () => {
      const command = processor.process(newRun('sleep 60'));
      await command.end(TOO_LONG_MS);
      assert.deepEqual(await command.ended, signaled('SIGTERM'));
    });

    test('end() of a command that cannot be started', async () => {
      const command = processor.process(newRun('true', { cwd: '/no/such/directory' }));
      await command.end(TOO_LONG_MS);
      assert.equal((await command.ended).kind, 'not started');
    });

    test('200 commands, 20 at once', async () => {
      const logFile = join(tempStore(), 'log');
      let next = 0;
      const workOff = async () => {
        while (next < 200) {
          const number = next++;
          const command = `echo ${number} >> ${logFile}.all; sleep 0.0${number % 7}; exit ${number}`;
          assert.deepEqual(await outcomeOf(newRun(command)), exited(number));
        }
      };
      await Promise.all(Array.from({ length: 20 }, workOff));
      const numbers = readFileSync(`${logFile}.all`, 'utf8').trim().split('\n').map(Number);
      assert.deepEqual(
        numbers.sort((a, b) => a - b),
        Array.from({ length: 200 }, (_, number) => number),
      );
    });

    test('nothing of this process reaches a command', onLinuxOnly, async () => {
      const own = new JobProcessor(newLauncher());
      const added = { NODE_CHANNEL_FD: '99', NODE_UNIQUE_ID: '1', KEPT: 'yes' };
      Object.assign(process.env, added);
      const run = newRun(
        'ls /proc/$$/fd; grep -hE "Sig(Ign|Blk)" /proc/self/status; env | grep -E "^(NODE_[CU]|KEPT)"',
      );
      const others = [own.process(newRun('sleep 60')), own.process(newRun('sleep 60'))];
      const outcome = await own.process(run).ended;
      for (const name of Object.keys(added)) delete process.env[name];
      await Promise.all(others.map((other) => other.end(0)));
      own.close();
      assert.deepEqual(outcome, exited(0));
      const zero = '0000000000000000';
      assert.deepEqual(logOf(run).split(/\s+/), [
        ...(name === 'fork server' ? STDIO : inheritedFiles()),
        'SigBlk:',
        zero,
        'SigIgn:',
        zero,
        'KEPT=yes',
        '',
      ]);
    });

    test('the group is noted before the command begins and until it has ended', async () => {
      const dir = tempStore();
      const groupNote = join(dir, 'note');
      const guard = join(dir, 'guard');
      writeFileSync(guard, '');
      for (const wish of ['true', 'false', 'exit 125']) {
        const run = newRun(`cat ${groupNote}; echo $$; cat /proc/$$/stat; ${wish}`, { groupNote, guard });
        await outcomeOf(run);
        const [note = '', pid = '', stat = ''] = logOf(run).split('\n');
        const [notedPid = '', startTime = ''] = note.split(' ');
        assert.equal(notedPid, pid);
        if (onLinux)
          assert.ok(isLeader({ pgid: Number(pid), startTime }, stat.split(' ')[21] ?? ''), `${note} ${stat}`);
        assert.equal(readGroupNote(groupNote), undefined);
      }
    });
  });
}

const lastLines: [output: string, line: string][] = [
  ['', ''],
  ['\n \n\t\n', ''],
  ['one\ntwo', 'two'],
  ['one\ntwo\n\n  \n', 'two'],
  ['10 %\r50 %\r100 %\r\n', '100 %'],
  ['\u001b[31mred\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u0007\n', 'red link'],
  ['\u001b[2K\u001b[1G\n', ''],
  ['a\u0000b\u0007c\u009fd\te\n', 'abcd e'],
  [`${'x'.repeat(300)}\n`, 'x'.repeat(200)],
  [`${'😀'.repeat(300)}\n`, '😀'.repeat(200)],
];
for (const [output, line] of lastLines) {
  test(`the last line of ${JSON.stringify(output.slice(0, 40))}`, () => {
    assert.equal(lastLineOf(Buffer.from(output)), line);
  });
}

/** The process of a fork server, which is the parent of its commands. */
async function serverPid(processor: JobProcessor): Promise<number> {
  const run = newRun('echo $PPID');
  await processor.process(run).ended;
  return Number(logOf(run));
}

for (const [what, program] of [
  ['no perl', undefined],
  ['a perl that fails', '#!/bin/sh\nexit 1\n'],
  ['a perl that reads and fails', '#!/bin/sh\nPATH=/usr/bin:/bin; head -c 4 >/dev/null; exit 1\n'],
] as const) {
  test(`${what}: commands are started without it`, async (t) => {
    const dir = tempStore();
    if (program !== undefined) writeFileSync(join(dir, 'perl'), program, { mode: 0o755 });
    const processor = new JobProcessor();
    const path = process.env.PATH;
    t.after(() => {
      process.env.PATH = path;
      processor.close();
    });
    process.env.PATH = dir;
    const log = join(dir, 'log');
    const runs = [1, 2, 3].map((code) => newRun(`echo ${code}; exit ${code}`, { logFile: `${log}${code}` }));
    const outcomes = await Promise.all(runs.map((run) => processor.process(run).ended));
    assert.deepEqual(outcomes, [exited(1, '1'), exited(2, '2'), exited(3, '3')]);
    assert.deepEqual(runs.map(logOf), ['1\n', '2\n', '3\n']);
    assert.equal(await serverPid(processor), process.pid);
  });
}

const FIXTURE = join(import.meta.dirname, '..', 'fixtures', 'oneCommand.ts');

describe('the process of a fork server', { concurrency: true }, () => {
  test('a fork server that is killed takes its commands with it, and the next one works', onLinuxOnly, async (t) => {
    const processor = new JobProcessor(newForkServer());
    t.after(() => processor.close());
    const run = newRun('sleep 60 & echo $$; wait');
    const command = processor.process(run);
    const pgid = await pidIn(run);
    endsAfter(t, pgid);
    const server = await serverPid(processor);
    assert.equal(lookUp(server)?.pgid, server, "a terminal's signals do not reach it");
    process.kill(server, 'SIGKILL');
    assert.deepEqual(await command.ended, signaled('SIGKILL', String(pgid)));
    assert.equal(groupExists(pgid), false);
    assert.deepEqual(await processor.process(newRun('exit 3')).ended, exited(3));
    assert.notEqual(await serverPid(processor), server);
  });

  test('a command whose note is gone is not started again when the fork server dies', onLinuxOnly, async (t) => {
    const processor = new JobProcessor(newForkServer());
    t.after(() => processor.close());
    const server = await serverPid(processor);
    const run = newRun('echo $$; sleep 60');
    const command = processor.process(run);
    const pgid = await pidIn(run);
    endsAfter(t, pgid);
    await delay(100); // it tells of the command when that has not ended at once
    rmSync(run.groupNote);
    process.kill(server, 'SIGKILL');
    assert.deepEqual(await command.ended, signaled('SIGKILL', String(pgid)));
    assert.equal(groupExists(pgid), false);
  });

  test('commands can be ended though the fork server is stopped', onLinuxOnly, async (t) => {
    const processor = new JobProcessor(new ForkServer(new SpawnLauncher()));
    t.after(() => processor.close());
    const server = await serverPid(processor);
    const run = newRun('echo $$; sleep 60');
    const begun = processor.process(run);
    const pgid = await pidIn(run);
    endsAfter(t, pgid);
    process.kill(server, 'SIGSTOP');
    const waiting = processor.process(newRun('sleep 60'));
    await Promise.all([begun.end(0), waiting.end(0)]);
    assert.deepEqual(await begun.ended, signaled('SIGKILL', String(pgid)));
    assert.deepEqual(await waiting.ended, signaled('SIGKILL'));
    assert.equal(groupExists(pgid), false);
  });

  test('a fork server survives a signal to everything', onLinuxOnly, async (t) => {
    const processor = new JobProcessor(newForkServer());
    t.after(() => processor.close());
    const run = newRun('trap "exit 7" TERM; echo $$; sleep 60 & wait');
    const command = processor.process(run);
    const pgid = await pidIn(run);
    endsAfter(t, pgid);
    const server = await serverPid(processor);
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE']) process.kill(server, signal);
    assert.equal(await serverPid(processor), server);
    await command.end(TOO_LONG_MS);
    assert.deepEqual(await command.ended, exited(7, String(pgid)));
  });

  test('an idle fork server uses no processor time', onLinuxOnly, async (t) => {
    const processor = new JobProcessor(newForkServer());
    t.after(() => processor.close());
    const run = newRun('echo $$; exec sleep 60');
    const command = processor.process(run);
    const server = await serverPid(processor);
    const useOf = () => [
      readFileSync(`/proc/${server}/stat`, 'utf8').split(' ').slice(13, 15),
      readFileSync(`/proc/${server}/status`, 'utf8').match(/ctxt_switches:\s*\d+/g),
    ];
    await delay(100); // it tells of the command when that has not ended at once
    await waitFor(() => readFileSync(`/proc/${server}/stat`, 'utf8').includes(') S '));
    const before = useOf();
    await delay(1000);
    assert.deepEqual(useOf(), before);
    await command.end(0);
  });

  test('when the worker is killed, its commands are too', onLinuxOnly, async (t) => {
    const run = newRun('sleep 60 & echo $PPID $$; wait');
    const worker = fork(FIXTURE, [run.logFile, run.command], { execArgv: ['--import', 'tsx'] });
    t.after(() => worker.kill('SIGKILL'));
    await waitFor(() => statSync(run.logFile, { throwIfNoEntry: false })?.size);
    const [server = 0, pgid = 0] = logOf(run).split(' ').map(Number);
    endsAfter(t, pgid);
    assert.notEqual(server, worker.pid);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    await waitFor(() => !groupExists(pgid) && isGone(server));
  });

  test('a worker ends by itself, and so does its fork server', { timeout: DEADLINE_MS }, async () => {
    const run = newRun('ls /proc/$$/fd; echo $PPID; exit 5');
    const worker = fork(FIXTURE, [run.logFile, run.command], { execArgv: ['--import', 'tsx'] });
    const [code] = await once(worker, 'exit');
    assert.equal(code, 5);
    const lines = logOf(run).trim().split('\n');
    if (onLinux) assert.deepEqual(lines.slice(0, -1), STDIO, 'not even its IPC channel reaches a command');
    await waitFor(() => isGone(Number(lines.at(-1))));
  });
});

test(
  'a launcher is given up once a group is gone of which it tells nothing, and not for one that nobody can end',
  onLinuxOnly,
  async (t) => {
    const group = 4_194_305; // above the highest pid of Linux
    let isThere = true;
    t.mock.method(process, 'kill', () => {
      throw Object.assign(new Error('kill'), { code: isThere ? 'EPERM' : 'ESRCH' });
    });
    let tell: Progress | undefined;
    const giveUp = t.mock.fn(() => tell?.ended({ kind: 'signaled', signal: 'SIGKILL' }));
    const launch = (_run: Run, progress: Progress) => {
      tell = progress;
      progress.started(group);
    };
    const { ended, end } = new JobProcessor({ launch, giveUp, close() {} }).process(newRun('sudo true'));
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const over = end(0);
    t.mock.timers.tick(60_000);
    assert.equal(giveUp.mock.callCount(), 0);
    isThere = false;
    t.mock.timers.tick(5000);
    assert.equal(giveUp.mock.callCount(), 1);
    await over;
    assert.deepEqual(await ended, {
      kind: 'signaled',
      signal: 'SIGKILL',
      lastLine: '(its log cannot be read: ENOENT)',
    });
  },
);
