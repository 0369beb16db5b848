import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { checkLayers, findImportFault } from '../scripts/checkLayers.js';

test('imports go down only, and to no packages but the runtime dependencies', async () => {
  assert.deepEqual(await checkLayers(join(import.meta.dirname, '..')), []);
});

test('every way to import is seen, and nothing else', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'queuectl-layers-'));
  t.after(() => rm(root, { recursive: true }));
  const files = {
    'cli/index.ts': "import '../core/a.js';\n",
    'core/a.ts': "import { run } from '../cli/index.js';\n",
    'db/file/a.ts': "import type {\n  Job,\n} from '../../core/a.js';\nexport * from '../../cli/index.js';\n",
    'utils/a.ts': "import 'left-pad';\nconst a = await import('../db/file/a.js');\n",
    'utils/b.ts': "export const line = Buffer.from('b');\nexport interface Copy {\n  from: 'b';\n}\n// read from 'b'\n",
  };
  for (const [file, source] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), source);
  }
  assert.deepEqual(await checkLayers(root), [
    'core/a.ts imports ../cli/index.js: core is below cli',
    'db/file/a.ts imports ../../core/a.js: db is below core',
    'db/file/a.ts imports ../../cli/index.js: db is below cli',
    'utils/a.ts imports left-pad: not a runtime dependency',
    'utils/a.ts imports ../db/file/a.js: utils is below db',
  ]);
});

const CASES: [file: string, specifier: string, fault: string | undefined][] = [
  ['cli/commands/list.ts', '../../core/queueManager.js', undefined],
  ['cli/index.ts', '../package.json', undefined],
  ['cli/index.ts', 'yargs/helpers', undefined],
  ['core/worker.ts', './lifecycle.js', undefined],
  ['db/stores/file/view.ts', '../records.js', undefined],
  ['db/stores/file/view.ts', '../../store.js', undefined],
  ['db/stores/file/view.ts', '../../model/job.js', undefined],
  [
    'db/stores/file/view.ts',
    '../../repositories/jobRepo.js',
    'db/stores knows only db/stores, db/model, db/store.ts of its layer',
  ],
  ['db/stores/file/view.ts', '../sql/driver.js', 'db/stores/file knows nothing of db/stores/sql'],
  ['db/model/job.ts', '../store.js', 'db/model knows only db/model of its layer'],
  [
    'db/repositories/jobRepo.ts',
    '../index.js',
    'db/repositories knows only db/repositories, db/model, db/store.ts of its layer',
  ],
  ['core/run/launcher.ts', '../../db/model/job.js', 'core/run knows nothing of db'],
  ['core/run/launcher.ts', '../queueManager.js', 'core/run knows only core/run of its layer'],
  ['core/queue/turn.ts', '../../db/repositories/index.js', undefined],
  ['cli/text/output.ts', '../commands/list.js', 'cli/text knows only cli/text of its layer'],
  ['core/worker.ts', '../utils/clock.js', undefined],
  ['core/worker.ts', 'node:fs', undefined],
  ['core/worker.ts', '../test/helpers/tempStore.js', 'outside the layers'],
  ['utils/clock.ts', '../db/store.js', 'utils is below db'],
  ['utils/clock.ts', '@types/node', 'not a runtime dependency'],
  ['utils/clock.ts', 'yargs-parser', 'not a runtime dependency'],
];
for (const [file, specifier, fault] of CASES) {
  test(`${file} ${fault === undefined ? 'may' : 'may not'} import ${specifier}`, () => {
    assert.equal(findImportFault(file, specifier), fault);
  });
}
