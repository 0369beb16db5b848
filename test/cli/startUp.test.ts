import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
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
