/** What one Node.js has built runs on the others, and says which it needs on those that are too old. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import packageJson from '../../package.json' with { type: 'json' };
import { installNode } from '../helpers/nodeVersions.js';
import { PROGRAM, withoutAdvice } from '../helpers/runCli.js';
import { tempStore } from '../helpers/tempStore.js';
import { waitFor } from '../helpers/waitFor.js';

const ENTRY_POINTS = [PROGRAM, join(import.meta.dirname, '..', '..', 'cli', 'bin', 'queuectl')];
const OLDEST = packageJson.engines.node.replace('>=', '');
const TOO_OLD = ['16', '18'];
const SUPPORTED = [`${OLDEST}.0`, '22', '24'];
const NOBODY = 65_534;
const WITH_CACHE = SUPPORTED.slice(1);

const nodes = new Map(
  await Promise.all([...TOO_OLD, ...SUPPORTED].map(async (version) => [version, await installNode(version)] as const)),
);

interface Node {
  readonly home: string;
  /** @returns what the program prints. @throws unless it exits with 0 and writes nothing to stderr */
  run(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string>;
}

const obstacleOf = (version: string) => {
  const node = nodes.get(version);
  return node !== undefined && 'obstacle' in node ? node.obstacle : false;
};

function programOf(version: string): string {
  const node = nodes.get(version);
  assert.ok(node !== undefined && 'program' in node);
  return node.program;
}

/** A test with one version of Node.js, which has a home and an empty store. */
function nodeTest(version: string, title: string, work: (node: Node) => Promise<void>, obstacle?: string): void {
  test(`Node.js ${version} ${title}`, { skip: obstacle ?? obstacleOf(version) }, async () => {
    const program = programOf(version);
    const home = tempStore();
    const run: Node['run'] = async (args, env = {}) => {
      const { stdout, stderr } = await promisify(execFile)(program, [PROGRAM, ...args], {
        env: { PATH: process.env.PATH, HOME: home, QUEUECTL_DATA_DIR: join(home, 'data'), ...env },
      });
      assert.equal(withoutAdvice(stderr), '');
      return stdout;
    };
    await work({ home, run });
  });
}

for (const version of TOO_OLD) {
  test(`Node.js ${version} is told in a line that it is too old`, { skip: obstacleOf(version) }, () => {
    const words = `queuectl: Node\\.js ${OLDEST} or later is needed, and this is v${version}\\.\\S+\\. Install it\\.\n`;
    for (const entryPoint of ENTRY_POINTS) {
      const { status, stdout, stderr } = spawnSync(programOf(version), [entryPoint, 'status'], { encoding: 'utf8' });
      assert.deepEqual({ status, stdout }, { status: 1, stdout: '' });
      assert.match(stderr, new RegExp(`^${words}$`));
    }
  });
}

describe('a build', { concurrency: 2 }, () => {
  for (const version of SUPPORTED) {
    nodeTest(version, 'runs it, the first time and again', async ({ home, run }) => {
      for (const id of ['one', 'two']) {
        assert.equal(await run(['--version']), `${packageJson.version}\n`);
        assert.match(await run(['list', '--help']), /^Usage: queuectl list\n/);
        assert.equal(await run(['enqueue', '--id', id, `echo ${id}`]), `Job enqueued with ID: ${id}\n`);
        assert.equal(JSON.parse(await run(['status', '--json'])).pending, id === 'one' ? 1 : 2);
      }
      await run(['worker-start']);
      await waitFor(async () => JSON.parse(await run(['status', '--json'])).completed === 2, 60_000);
      await run(['worker-stop']);
      const jobs: { id: string }[] = JSON.parse(await run(['list']));
      assert.deepEqual(
        jobs.map(({ id }) => id),
        ['one', 'two'],
      );
      assert.match(await run(['logs', 'two']), /^two$/m);
      assert.equal(fs.existsSync(join(home, '.cache')), WITH_CACHE.includes(version));
    });
  }
});

/** What is in the directory of the compiled code, or undefined if it is not there. */
const kept = (caches: string) => {
  const directory = join(caches, 'queuectl');
  return fs.existsSync(directory) ? fs.readdirSync(directory) : undefined;
};

for (const version of WITH_CACHE) {
  nodeTest(version, 'keeps compiled code where nobody else can write', async ({ home, run }) => {
    await run(['--version']);
    assert.equal(kept(join(home, '.cache'))?.length, 1);
    for (const name of ['.cache', '.cache/queuectl']) {
      assert.equal(fs.statSync(join(home, name)).mode & 0o777, 0o700, name);
    }
    const unused = join(home, 'unused');
    await run(['--version'], { XDG_CACHE_HOME: unused, NODE_DISABLE_COMPILE_CACHE: '1' });
    assert.equal(fs.existsSync(unused), false);
    const elsewhere = join(home, 'elsewhere');
    await run(['--version'], { XDG_CACHE_HOME: elsewhere });
    assert.equal(kept(elsewhere)?.length, 1);
  });

  nodeTest(version, 'keeps no compiled code in a directory that is not safe, and runs all the same', async (node) => {
    const { home, run } = node;
    const caches = (name: string, mode: number) => {
      const path = join(home, name);
      fs.mkdirSync(path);
      fs.chmodSync(path, mode);
      return path;
    };
    const refused = {
      'others can write to it': caches('open', 0o755),
      'others can replace it': caches('shared', 0o777),
      'it leads elsewhere': caches('linked', 0o700),
      'it is a file': caches('file', 0o700),
    };
    const open = join(refused['others can write to it'], 'queuectl');
    fs.mkdirSync(open);
    fs.chmodSync(open, 0o770);
    const target = caches('target', 0o700);
    fs.symlinkSync(target, join(refused['it leads elsewhere'], 'queuectl'));
    fs.writeFileSync(join(refused['it is a file'], 'queuectl'), '');
    for (const XDG_CACHE_HOME of Object.values(refused)) await run(['--version'], { XDG_CACHE_HOME });
    assert.deepEqual(kept(refused['others can write to it']), []);
    assert.equal(kept(refused['others can replace it']), undefined);
    assert.deepEqual(fs.readdirSync(target), []);

    for (const HOME of ['', 'relative', join(home, 'none'), '/proc/none']) await run(['--version'], { HOME });
    assert.equal(fs.existsSync(join(home, 'none')), false);
  });

  nodeTest(
    version,
    'keeps no compiled code in the home of somebody else',
    async ({ home, run }) => {
      fs.chownSync(home, NOBODY, NOBODY);
      await run(['--version']);
      assert.equal(fs.existsSync(join(home, '.cache')), false);
      fs.mkdirSync(join(home, '.cache'));
      fs.chownSync(join(home, '.cache'), NOBODY, NOBODY);
      await run(['--version']);
      assert.equal(kept(join(home, '.cache')), undefined);
    },
    process.getuid?.() === 0 ? undefined : 'only root can give a directory away',
  );
}
