/** Builds dist/: the programs and the library, each bundled with its dependencies, and the library's types. */
import { execFileSync } from 'node:child_process';
import { access, chmod, cp, readdir, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const programs = { queuectl: 'cli/bin/queuectl.ts', workerMain: 'core/workerMain.ts' };
const modules = { index: 'core/openQueue.ts' };

/**
 * Loading a module nobody uses takes time at every start. yargs' own modules do nothing but define things, so what is
 * not used of them can go; and what proper-lockfile and write-file-atomic need of graceful-fs is what node:fs has.
 */
const dropUnused: Plugin = {
  name: 'drop-unused',
  setup(bundler) {
    bundler.onResolve({ filter: /.*/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      if (pluginData === 'resolved' || !/node_modules.(yargs|cliui)/.test(importer + resolveDir + path))
        return undefined;
      const result = await bundler.resolve(path, { kind, importer, resolveDir, pluginData: 'resolved' });
      return { ...result, sideEffects: false };
    });
  },
};

const options = {
  absWorkingDir: root,
  outdir: dist,
  bundle: true,
  platform: 'node',
  target: 'node20',
  alias: { 'graceful-fs': 'node:fs' },
  plugins: [dropUnused],
  minifyWhitespace: true, // less to scan at every start
  legalComments: 'eof',
  logLevel: 'warning',
} satisfies BuildOptions;

for (const entryPoint of Object.values({ ...programs, ...modules })) await access(join(root, entryPoint));
await rm(dist, { recursive: true, force: true });
// CommonJS starts faster than an ES module: `node -e 0` takes 70 ms, an empty module 77, an empty script 71.
await build({
  ...options,
  entryPoints: programs,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: {
    js: "#!/usr/bin/env node\nconst importMetaUrl = require('node:url').pathToFileURL(__filename).href;",
  },
});
await build({
  ...options,
  entryPoints: modules,
  format: 'esm',
  // The dependencies that are CommonJS use `require` and `__filename`, which an ES module does not have.
  define: { __filename: 'import.meta.filename' },
  banner: {
    js: [
      "import { createRequire as queuectlCreateRequire } from 'node:module';",
      'const require = queuectlCreateRequire(import.meta.url);',
    ].join('\n'),
  },
});
await chmod(join(dist, 'queuectl.cjs'), 0o755);
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
