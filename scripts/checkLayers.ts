/** The layer rule: imports go down only, and to no packages but the runtime dependencies. */
import { readdir, readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join, posix } from 'node:path';

const LAYERS = ['cli', 'core', 'db', 'utils'];
/** What the files of a folder may import of their own layer; those of a folder without a rule may import all of it. */
const WITHIN_LAYER: Readonly<Record<string, readonly string[]>> = {
  'db/model': ['db/model'],
  'db/repositories': ['db/repositories', 'db/model', 'db/store.ts'],
  'db/stores': ['db/stores', 'db/model', 'db/store.ts'],
  'core/run': ['core/run'],
  'core/queue': ['core/queue'],
  'cli/line': ['cli/line', 'cli/text'],
  'cli/text': ['cli/text'],
};
/** Folders of which none may import another. */
const APART = ['db/stores/file', 'db/stores/memory', 'db/stores/sql'];
/** Folders that know nothing of a layer below. */
const KNOW_NOTHING: Readonly<Record<string, readonly string[]>> = { 'core/run': ['db'] };
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
  if (to < from) return `${LAYERS[from]} is below ${LAYERS[to]}`;
  return findFolderFault(file, target.replace(/\.js$/, '.ts'));
}

function findFolderFault(file: string, target: string): string | undefined {
  const isIn = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`);
  for (const [folder, unknown] of Object.entries(KNOW_NOTHING)) {
    const layer = unknown.find((layer) => isIn(target, layer));
    if (isIn(file, folder) && layer !== undefined) return `${folder} knows nothing of ${layer}`;
  }
  const [own, other] = [file, target].map((path) => APART.find((folder) => isIn(path, folder)));
  if (own !== undefined && other !== undefined && own !== other) return `${own} knows nothing of ${other}`;
  for (const [folder, allowed] of Object.entries(WITHIN_LAYER)) {
    if (!isIn(file, folder) || topFolder(file) !== topFolder(target)) continue;
    if (!allowed.some((place) => isIn(target, place))) return `${folder} knows only ${allowed.join(', ')} of its layer`;
  }
  return undefined;
}

const topFolder = (path: string) => path.split('/', 1)[0] ?? '';

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
