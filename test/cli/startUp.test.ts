import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { PROGRAM } from '../helpers/runCli.js';
import { tempStore } from '../helpers/tempStore.js';

/** Modules of Node that take their time to load. */
const HEAVY = ['net', 'tty', 'assert', 'crypto', 'fs/promises', 'perf_hooks', 'worker_threads', 'child_process'];
const LOADER_OF_ES_MODULES = 'internal/modules/esm/translators';

for (const command of [['status'], ['enqueue', 'true'], ['list'], ['config-get']]) {
  test(`${command[0]} loads nothing heavy`, () => {
    const script = `
      const before = new Set(process.moduleLoadList);
      process.argv.splice(1, 0, 'queuectl');
      require(${JSON.stringify(PROGRAM)});
      process.once('exit', () => {
        const loaded = process.moduleLoadList.filter((name) => !before.has(name));
        require('node:fs').writeSync(3, JSON.stringify(loaded));
      });`;
    const { output, status } = spawnSync(process.execPath, ['--eval', script, '--', ...command], {
      encoding: 'utf8',
      env: { QUEUECTL_DATA_DIR: tempStore() },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    assert.equal(status, 0, output[2] ?? '');
    const loaded: string[] = JSON.parse(output[3] ?? '');
    const heavy = [...HEAVY, LOADER_OF_ES_MODULES].filter((name) => loaded.includes(`NativeModule ${name}`));
    assert.deepEqual(heavy, []);
  });
}

const IN_A_CLONE = join('cli', 'bin', 'queuectl');

test(`node ${IN_A_CLONE} is the built program`, () => {
  const { stdout, stderr } = spawnSync(process.execPath, [IN_A_CLONE, '--version'], { encoding: 'utf8' });
  assert.deepEqual({ stdout, stderr }, { stdout: `${packageJson.version}\n`, stderr: '' });
});

test(`node ${IN_A_CLONE} says how to build what is not built`, () => {
  const clone = tempStore();
  for (const name of ['cli/bin', 'package.json']) cpSync(name, join(clone, name), { recursive: true });
  const { status, stderr } = spawnSync(process.execPath, [join(clone, IN_A_CLONE)], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.equal(stderr, `queuectl: this clone is not built. Run \`npm install\` in ${clone}.\n`);
});
