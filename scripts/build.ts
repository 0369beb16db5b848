/** Builds dist/: the programs and the library, each in one file, and the library's types. */
import { execFileSync } from 'node:child_process';
import { chmod, copyFile, readdir, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { build } from 'esbuild';
import { moduleOptions, programOptions, ROOT } from './bundling.js';

const DIST = join(ROOT, 'dist');
const PROGRAMS = { workerMain: 'core/workers/workerMain.ts' };
/** Each start reads it anew, so it is as short as can be: short names take 3 ms of the 20 that a command takes. */
const COMMAND_LINE = { main: 'cli/bin/queuectl.mts' };
const MODULES = { help: 'cli/line/help.ts', index: 'core/index.ts' };

await rm(DIST, { recursive: true, force: true });
await build({ ...programOptions, outdir: DIST, entryPoints: PROGRAMS });
await build({ ...programOptions, outdir: DIST, entryPoints: COMMAND_LINE, minify: true });
await build({ ...moduleOptions, outdir: DIST, entryPoints: MODULES });
await copyFile(join(ROOT, 'cli/bin/queuectl'), join(DIST, 'queuectl.cjs'));
await chmod(join(DIST, 'queuectl.cjs'), 0o755);
await copyResources();
emitTypes();

/** Copies what core/run/ reads at run time and a bundler does not see. */
async function copyResources(): Promise<void> {
  for (const entry of await readdir(join(ROOT, 'core', 'run'), { withFileTypes: true })) {
    if (entry.isFile() && extname(entry.name) !== '.ts') {
      await copyFile(join(ROOT, 'core', 'run', entry.name), join(DIST, entry.name));
    }
  }
}

function emitTypes(): void {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '--project', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
}
