/** The layer rule: imports go down only, and to no packages but the runtime dependencies. */
import { readdir, readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join, posix } from 'node:path';

const LAYERS = ['cli', 'core', 'db', 'utils'];
const PACKAGES = ['yargs', 'proper-lockfile', 'write-file-atomic'];
const STATEMENT = /^(?:import|(?:import|export)\b[^;'"=(]*\bfrom)\s*['"]([^'"\n]+)['"]/gm;
const CALL = /\b(?:import|require)\(\s*['"`]([^'"`\n]+)['"`]/g;

/**
 * Reads the imports of every source file, those of types included.
 *
 * @param root the directory that holds the layers
 * @returns one sentence for each import that breaks the rule
 */
export async function checkLayers(root: string): Promise<string[]> {
  const faults: string[] = [];
  for (const layer of LAYERS) {
    const names = await readdir(join(root, layer), { recursive: true });
    for (const name of names.filter((name) => /\.m?ts$/.test(name)).sort()) {
      const file = posix.join(layer, name);
      const source = await readFile(join(root, file), 'utf8');
      for (const [, specifier = ''] of [...source.matchAll(STATEMENT), ...source.matchAll(CALL)]) {
        const fault = findImportFault(file, specifier);
        if (fault !== undefined) faults.push(`${file} imports ${specifier}: ${fault}`);
      }
    }
  }
  return faults;
}

/**
 * Judges one import.
 *
 * @param file the importing file, relative to the project, as in `core/worker.ts`
 * @returns what is wrong with it, or undefined
 */
export function findImportFault(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) {
    return isBuiltin(specifier) || PACKAGES.includes(packageName(specifier)) ? undefined : 'not a runtime dependency';
  }
  const target = posix.join(posix.dirname(file), specifier);
  if (target === 'package.json') return undefined;
  const from = LAYERS.indexOf(topFolder(file));
  const to = LAYERS.indexOf(topFolder(target));
  if (to === -1) return 'outside the layers';
  return to < from ? `${LAYERS[from]} is below ${LAYERS[to]}` : undefined;
}

const topFolder = (path: string) => path.split('/', 1)[0] ?? '';

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
