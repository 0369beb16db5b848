/** Builds dist/: the programs and the library, each bundled with its dependencies, and the library's types. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { access, chmod, cp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const programs = { main: 'cli/bin/queuectl.ts', workerMain: 'core/workers/workerMain.ts' };
const launcher = { queuectl: 'cli/bin/launch.ts' };
const modules = { index: 'core/index.ts' };

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

/** Only the help needs all of yargs, so it is a file of its own. */
const yargsApart: Plugin = {
  name: 'yargs-apart',
  setup(bundler) {
    bundler.onResolve({ filter: /^yargs$/ }, () => ({ path: './yargs.cjs', external: true }));
  },
};

/**
 * Modules of Node that take 2 to 4 ms to load, and what our packages have of them: assertions about their own arguments;
 * the number of the thread, which in our programs is 0; a hash for a temporary file's name, which is unique without.
 */
const lightModules: Readonly<Record<string, string>> = {
  assert: 'exports.equal = (found, expected, message) => { if (found !== expected) throw new TypeError(message); };',
  worker_threads: 'exports.threadId = 0;',
  'node:crypto': `
    const hash = { update: () => hash, digest: () => Buffer.from(Uint32Array.of(Math.random() * 2 ** 32).buffer) };
    exports.createHash = () => hash;`,
};

const lighten: Plugin = {
  name: 'lighten',
  setup(bundler) {
    const filter = new RegExp(`^(${Object.keys(lightModules).join('|')})$`);
    bundler.onResolve({ filter }, ({ path, importer }) =>
      /node_modules.yargs/.test(importer) ? undefined : { path, namespace: 'light' },
    );
    bundler.onLoad({ filter, namespace: 'light' }, ({ path }) => ({ contents: lightModules[path] ?? '' }));
  },
};

const options = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  alias: { 'graceful-fs': 'node:fs' },
  plugins: [dropUnused],
  minifyWhitespace: true, // less to scan at every start
  legalComments: 'eof',
  logLevel: 'warning',
} satisfies BuildOptions;

for (const entryPoint of Object.values({ ...programs, ...launcher, ...modules })) await access(join(root, entryPoint));
await rm(dist, { recursive: true, force: true });
// CommonJS starts faster than an ES module: `node -e 0` takes 70 ms, an empty module 77, an empty script 71.
const commonJs = {
  ...options,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  supported: { 'dynamic-import': false }, // becomes `require`: the loader of ES modules takes 5 ms to load itself
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
} satisfies BuildOptions;
await build({
  ...commonJs,
  stdin: { contents: `module.exports = require('yargs').default;`, resolveDir: root },
  outfile: join(dist, 'yargs.cjs'),
});
await build({ ...commonJs, outdir: dist, entryPoints: launcher, banner: { js: '#!/usr/bin/env node' } });
await build({ ...commonJs, outdir: dist, entryPoints: programs, plugins: [dropUnused, yargsApart, lighten] });
await build({
  ...options,
  outdir: dist,
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
keepCompiledCode();
emitTypes();

/** Copies what core/run/ reads at run time and a bundler does not see. */
async function copyResources(): Promise<void> {
  for (const entry of await readdir(join(root, 'core', 'run'), { withFileTypes: true })) {
    if (entry.isFile() && extname(entry.name) !== '.ts') {
      await cp(join(root, 'core', 'run', entry.name), join(dist, entry.name));
    }
  }
}

/** Runs a command, and keeps what V8 has compiled for it. */
function keepCompiledCode(): void {
  const program = `
    const cache = ${JSON.stringify(join(dist, 'main.cache'))};
    process.argv.splice(1, 0, 'queuectl');
    const { codeToKeep } = require(${JSON.stringify(join(dist, 'queuectl.cjs'))});
    process.once('exit', () => require('node:fs').writeFileSync(cache, codeToKeep()));`;
  const dataDir = mkdtempSync(join(tmpdir(), 'queuectl-build-'));
  const args = ['enqueue', 'true', '--data-dir', dataDir];
  // What is compiled for the first command of a store, which makes it, is not what those after it need.
  for (const run of [[join(dist, 'queuectl.cjs')], ['--eval', program, '--']]) {
    execFileSync(process.execPath, [...run, ...args], { env: {}, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  rmSync(dataDir, { recursive: true });
}

function emitTypes(): void {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '--project', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
}
