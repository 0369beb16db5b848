import { basename, join } from 'node:path';
import { build } from 'esbuild';

/**
 * Bundles a program of the tests: it starts five times faster than through tsx, and a late import needs no other thread.
 *
 * @param source its TypeScript file
 * @param directory where the bundle goes
 * @returns the path of the bundle
 */
export async function bundle(source: string, directory: string): Promise<string> {
  const outfile = join(directory, `${basename(source, '.ts')}.mjs`);
  await build({
    entryPoints: [source],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    define: { __filename: 'import.meta.filename' },
    banner: {
      js: [
        "import { createRequire as bundleCreateRequire } from 'node:module';",
        'const require = bundleCreateRequire(import.meta.url);',
      ].join('\n'),
    },
  });
  return outfile;
}
