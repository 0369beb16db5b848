/** What a fork server does about a perl that does not start, or that the environment would change. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { JobProcessor, type Run } from '../../../core/jobProcessor.js';
import { ForkServer } from '../../../core/run/forkServer.js';
import { groupExists } from '../../../core/run/processGroup.js';
import { SpawnLauncher } from '../../../core/run/spawnLauncher.js';
import { monotonicMs } from '../../../utils/clock.js';
import { delay } from '../../../utils/delay.js';
import { pathWithPerl } from '../../helpers/perl.js';
import { tempStore } from '../../helpers/tempStore.js';

const onLinux = { skip: process.platform !== 'linux', timeout: 60_000 };

function setVariable(t: TestContext, name: string, value: string): void {
  const former = process.env[name];
  process.env[name] = value;
  t.after(() => {
    if (former === undefined) delete process.env[name];
    else process.env[name] = former;
  });
}

/** A fork server, and the commands that it left to its fallback. */
function newServer(t: TestContext) {
  const left: string[] = [];
  const fallback = new SpawnLauncher();
  const launch = fallback.launch.bind(fallback);
  fallback.launch = (run, progress) => {
    left.push(run.command);
    launch(run, progress);
  };
  const processor = new JobProcessor(new ForkServer(fallback));
  t.after(() => processor.close());
  const dir = tempStore();
  const run: Omit<Run, 'command'> = { env: {}, logFile: join(dir, 'log'), groupNote: join(dir, 'note') };
  const start = (command: string) => processor.process({ ...run, command });
  const output = async (command: string) => {
    assert.deepEqual(await start(command).ended, { kind: 'exited', code: 0, lastLine: '' });
    return readFileSync(run.logFile, 'utf8');
  };
  return { left, start, output };
}

describe('a fork server', () => {
  for (const [what, path] of [
    ['ends at once', (dir: string) => pathWithPerl(dir, `[ -e '${dir}/now' ] && exec /usr/bin/perl "$@"; exit 1`)],
    ['is killed', (dir: string) => pathWithPerl(dir, `[ -e '${dir}/now' ] && exec /usr/bin/perl "$@"; kill -9 $$`)],
  ] as const) {
    test(`whose perl ${what} is started again later, after a longer pause each time`, onLinux, async (t) => {
      const dir = tempStore();
      setVariable(t, 'PATH', path(dir));
      const { left, output } = newServer(t);
      for (const command of ['echo 1', 'echo 2']) assert.equal(await output(command), `${command.slice(-1)}\n`);
      assert.equal(left.length, 2);
      await delay(1100);
      await output('echo 3'); // the second failure
      writeFileSync(join(dir, 'now'), '');
      await delay(1100);
      await output('echo 4');
      assert.equal(left.length, 4, 'the second pause is twice as long');
      await delay(1000);
      await output('echo 5');
      assert.equal(left.length, 4);
    });
  }

  test('whose perl does not become ready is given up after 5 seconds, and nothing of it stays', onLinux, async (t) => {
    const dir = tempStore();
    setVariable(t, 'PATH', pathWithPerl(dir, `echo $$ > ${dir}/perl; sleep 300; exit`));
    const { left, output } = newServer(t);
    const began = monotonicMs();
    assert.equal(await output('echo 1'), '1\n');
    assert.ok(monotonicMs() - began >= 5000);
    assert.deepEqual(left, ['echo 1']);
    assert.equal(groupExists(Number(readFileSync(join(dir, 'perl'), 'utf8'))), false);
  });

  test('tells of no command whose group cannot be ended yet, however slow it is to begin', onLinux, async (t) => {
    const dir = tempStore();
    const slow = 'sub { select undef, undef, undef, 1 if $_[0] == 0; CORE::setpgrp($_[0], $_[1]) }';
    writeFileSync(join(dir, 'Slow.pm'), `package Slow; BEGIN { *CORE::GLOBAL::setpgrp = ${slow} } 1;`);
    setVariable(t, 'PATH', pathWithPerl(dir, `exec /usr/bin/perl -I'${dir}' -MSlow "$@"`));
    const { left, start } = newServer(t);
    const { started, ended, end } = start('sleep 1000');
    assert.equal(await started, true);
    await end(0);
    assert.deepEqual(await ended, { kind: 'signaled', signal: 'SIGKILL', lastLine: '' });
    assert.deepEqual(left, []);
  });

  test('where there is no perl leaves the commands to the other launcher', onLinux, async (t) => {
    setVariable(t, 'PATH', '/nowhere');
    const { left, output } = newServer(t);
    assert.equal(await output('echo 1'), '1\n');
    assert.deepEqual(left, ['echo 1']);
  });

  test('keeps from perl the variables that are its own, and not from the commands', onLinux, async (t) => {
    const variables = { PERL5OPT: '-MNo::Such::Module', PERL_UNICODE: 'SAD', PERLIO: ':crlf', PERL5LIB: '/nowhere' };
    for (const [name, value] of Object.entries(variables)) setVariable(t, name, value);
    const { left, output } = newServer(t);
    assert.equal(
      await output('echo "$PERL5OPT $PERL_UNICODE $PERLIO $PERL5LIB"'),
      '-MNo::Such::Module SAD :crlf /nowhere\n',
    );
    assert.deepEqual(left, []);
  });
});
