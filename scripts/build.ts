/** Builds dist/: the programs and the library, each bundled with its dependencies, and the library's types. */
import { execFileSync } from 'node:child_process';
import { access, chmod, cp, readdir, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const program = 'cli/bin/queuectl.ts';
const modules = { workerMain: 'core/workerMain.ts', index: 'core/openQueue.ts' };

// The dependencies that are CommonJS use `require` and `__filename`, which an ES module does not have.
const defineRequire = [
  "import { createRequire as queuectlCreateRequire } from 'node:module';",
  'const require = queuectlCreateRequire(import.meta.url);',
].join('\n');

const options = {
  absWorkingDir: root,
  outdir: dist,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  define: { __filename: 'import.meta.filename' },
  legalComments: 'eof',
  logLevel: 'warning',
} satisfies BuildOptions;

for (const entryPoint of [program, ...Object.values(modules)]) await access(join(root, entryPoint));
await rm(dist, { recursive: true, force: true });
await build({
  ...options,
  entryPoints: { queuectl: program },
  banner: { js: `#!/usr/bin/env node\n${defineRequire}` },
});
await build({ ...options, entryPoints: modules, banner: { js: defineRequire } });
await chmod(join(dist, 'queuectl.js'), 0o755);
await copyResources();
emitTypes();

/** Copies what core/ reads at run time and a bundler does not see. */
async function copyResources(): Promise<void> {
  for (const entry of await readdir(join(root, 'core'), { withFileTypes: true })) {
    if (entry.isFile() && extname(entry.name) !== '.ts') {
      await cp(join(root, 'core', entry.name), join(dist, entry.name));
    }
  }
}

function emitTypes(): void {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '--project', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
}
