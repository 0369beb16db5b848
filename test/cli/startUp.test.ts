import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { PROGRAM } from '../helpers/runCli.js';
import { tempStore } from '../helpers/tempStore.js';

/** Modules of Node that take their time to load. */
const HEAVY = ['net', 'tty', 'assert', 'crypto', 'fs/promises', 'perf_hooks', 'worker_threads', 'child_process'];
const LOADER_OF_ES_MODULES = 'internal/modules/esm/translators';

for (const command of [['status'], ['enqueue', 'true'], ['list'], ['config-get']]) {
  test(`${command[0]} runs from the code that was compiled at the build, and loads nothing heavy`, () => {
    const script = `
      const before = new Set(process.moduleLoadList);
      process.argv.splice(1, 0, 'queuectl');
      const { script } = require(${JSON.stringify(PROGRAM)});
      process.once('exit', () => {
        const found = { refused: script.cachedDataRejected, loaded: process.moduleLoadList.filter((name) => !before.has(name)) };
        require('node:fs').writeSync(3, JSON.stringify(found));
      });`;
    const { output, status } = spawnSync(process.execPath, ['--eval', script, '--', ...command], {
      encoding: 'utf8',
      env: { QUEUECTL_DATA_DIR: tempStore() },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    assert.equal(status, 0, output[2] ?? '');
    const { refused, loaded }: { refused: boolean; loaded: string[] } = JSON.parse(output[3] ?? '');
    assert.equal(refused, false);
    const heavy = [...HEAVY, LOADER_OF_ES_MODULES].filter((name) => loaded.includes(`NativeModule ${name}`));
    assert.deepEqual(heavy, []);
  });
}

test('compiled code that is damaged or older than the program is left alone', () => {
  const dist = join(tempStore(), 'dist');
  cpSync(dirname(PROGRAM), dist, { recursive: true });
  const run = () => spawnSync(process.execPath, [join(dist, 'queuectl.cjs'), '--version'], { encoding: 'utf8' });
  const cache = join(dist, 'main.cache');
  const code = readFileSync(cache);
  for (const at of [0, 3, 4, 1000, code.length >> 1, code.length - 1]) {
    const damaged = Buffer.from(code);
    damaged.fill(0xa5, at, Math.min(at + 64, damaged.length));
    for (const content of [damaged, code.subarray(0, at)]) {
      writeFileSync(cache, content);
      const { status, stdout } = run();
      assert.equal(status, 0, `damaged at ${at}`);
      assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
    }
  }
  writeFileSync(cache, code);
  const main = join(dist, 'main.cjs');
  writeFileSync(main, readFileSync(main, 'utf8').replace(/(version:")\d/, '$19'));
  assert.match(run().stdout, /^9/);
});
