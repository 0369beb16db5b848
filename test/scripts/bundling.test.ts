import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { programOptions } from '../../scripts/bundling.js';
import { runCli, withoutAdvice } from '../helpers/runCli.js';
import { tempStore } from '../helpers/tempStore.js';
import { waitFor } from '../helpers/waitFor.js';

/** FIPS 180-2, appendix B.1. */
const SHA256_OF_ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

test('a bundle has the real modules of Node.js, and its packages what they need', async () => {
  const directory = tempStore();
  const entry = join(directory, 'program.ts');
  writeFileSync(
    entry,
    `import assert from 'node:assert/strict';
    import { createHash } from 'node:crypto';
    import { isMainThread } from 'node:worker_threads';
    const sha256 = (make: typeof createHash) => make('sha256').update('abc').digest('hex');
    assert.throws(() => assert.deepEqual([1], [2]));
    import('node:crypto').then((late) => {
      console.log(JSON.stringify([isMainThread, ...[createHash, late.createHash, late.default.createHash].map(sha256)]));
    });`,
  );
  await build({ ...programOptions, entryPoints: [entry], outdir: directory });
  const output = execFileSync(process.execPath, [join(directory, 'program.cjs')], { encoding: 'utf8' });
  assert.deepEqual(JSON.parse(output), [true, SHA256_OF_ABC, SHA256_OF_ABC, SHA256_OF_ABC]);
});

test('the built program hashes: a log is found by the hash of an id that is no file name', async () => {
  const dataDir = tempStore();
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli(args, { dataDir });
    assert.deepEqual({ code, stderr: withoutAdvice(stderr) }, { code: 0, stderr: '' });
    return stdout;
  };
  await run('enqueue', '--id', 'a/b', 'true');
  await run('worker-start');
  await waitFor(async () => JSON.parse(await run('status', '--json')).completed === 1, 60_000);
  await run('worker-stop');
  const hash = createHash('sha256').update('a/b').digest('hex').slice(0, 32);
  const [log = ''] = readdirSync(join(dataDir, 'logs'));
  assert.ok(log.startsWith(`~${hash}`), log);
});
