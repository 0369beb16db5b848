/** How the programs and the library are bundled. */
import { isBuiltin } from 'node:module';
import { join, relative } from 'node:path';
import type { BuildOptions, Plugin } from 'esbuild';

export const ROOT = join(import.meta.dirname, '..');

/**
 * Loading a module nobody uses takes time at every start. yargs' own modules do nothing but define things, so what is
 * not used of them can go.
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

/** Only the help needs all of yargs, and it takes its time to load: it is a module of its own, which imports the package. */
const helpApart: Plugin = {
  name: 'help-apart',
  setup(bundler) {
    bundler.onResolve({ filter: /\/help\.js$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './help.js', external: true } : undefined,
    );
  },
};

/** What is loaded late of Node.js is required: the loader of ES modules takes 5 ms to load itself. */
const requireBuiltins: Plugin = {
  name: 'require-builtins',
  setup(bundler) {
    bundler.onResolve({ filter: /.*/ }, ({ path, kind }) =>
      kind === 'dynamic-import' && isBuiltin(path) ? { path, namespace: 'builtin' } : undefined,
    );
    bundler.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

/**
 * Modules of Node that take 2 to 4 ms to load, and what these packages have of them: assertions about their own
 * arguments; the number of the thread, which in our programs is 0; a hash for a temporary file's name, which is unique
 * without. Nobody else gets these.
 */
const FRUGAL_PACKAGES = /^node_modules.(proper-lockfile|signal-exit|write-file-atomic)\W/;
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
      FRUGAL_PACKAGES.test(relative(ROOT, importer)) ? { path, namespace: 'light' } : undefined,
    );
    bundler.onLoad({ filter, namespace: 'light' }, ({ path }) => ({ contents: lightModules[path] ?? '' }));
  },
};

const common = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifyWhitespace: true, // less to scan at every start
  legalComments: 'eof',
  logLevel: 'warning',
} satisfies BuildOptions;

/** The programs hold what they use of the packages. */
export const programOptions = {
  ...common,
  // CommonJS starts faster than an ES module: `node -e 0` takes 70 ms, an empty module 77, an empty script 71.
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  alias: { 'graceful-fs': 'node:fs' }, // which has what proper-lockfile needs of it
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
  plugins: [dropUnused, helpApart, requireBuiltins, lighten],
} satisfies BuildOptions;

/** The library and the help import the packages that are installed with them. */
export const moduleOptions = {
  ...common,
  minifyWhitespace: false, // Node.js shows the line that has thrown an error nobody catches
  keepNames: true, // and the name of its class
  format: 'esm',
  external: ['proper-lockfile', 'write-file-atomic', 'yargs'],
} satisfies BuildOptions;
