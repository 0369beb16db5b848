/** Which SQLite is used, and what somebody reads who has none. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { bundle } from '../../../helpers/bundle.js';
import { tempStore } from '../../../helpers/tempStore.js';

const hasItsOwn = process.getBuiltinModule('node:sqlite') !== undefined;
const INSTALLED = join(import.meta.dirname, '../../../../node_modules/better-sqlite3');
const NEEDED = 'SQLite needs Node 22.13 or later, or the package better-sqlite3';

/** A place with the program in it. */
async function install(folder: string): Promise<{ root: string; program: string; elsewhere: string }> {
  const root = tempStore();
  const dist = join(root, folder);
  fs.mkdirSync(dist, { recursive: true });
  return { root, program: await bundle(join(import.meta.dirname, 'driverProgram.ts'), dist), elsewhere: tempStore() };
}

/** Without what Node has of its own, as in Node 20. */
function run(program: string, cwd: string) {
  const flags = hasItsOwn ? ['--no-experimental-sqlite'] : [];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, program], { cwd, encoding: 'utf8' });
  return { status, stdout, stderr };
}

function makePackage(root: string, version: string, main: string): string {
  const directory = join(root, 'node_modules', 'better-sqlite3');
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(
    join(directory, 'package.json'),
    JSON.stringify({ name: 'better-sqlite3', version, main: 'main.js' }),
  );
  fs.writeFileSync(join(directory, 'main.js'), main);
  return directory;
}

describe('without node:sqlite and without a package', () => {
  const places: [where: string, folder: string, hasProject: boolean, command: string][] = [
    ['a clone', 'dist', true, '(cd $root && npm install --no-save better-sqlite3@12)'],
    ['a project', 'node_modules/queuectl/dist', true, 'npm install better-sqlite3@12'],
    ['all directories', 'lib/node_modules/queuectl/dist', false, 'npm install --global better-sqlite3@12'],
  ];
  for (const [where, folder, hasProject, command] of places) {
    test(`a program installed for ${where} says how to install one`, async () => {
      const { root, program, elsewhere } = await install(folder);
      if (hasProject) fs.writeFileSync(join(root, 'package.json'), '{}');
      const { status, stderr } = run(program, elsewhere);
      assert.deepEqual(
        { status, stderr },
        { status: 1, stderr: `${NEEDED}. Install it: ${command.replace('$root', root)}.\n` },
      );
    });
  }
});

describe('the package better-sqlite3', () => {
  for (const folder of ['dist', 'node_modules/queuectl/dist', 'lib/node_modules/queuectl/dist']) {
    test(`is found from a program in ${folder}`, async () => {
      const { root, program, elsewhere } = await install(folder);
      const modules = join(root, folder.startsWith('lib') ? 'lib/node_modules' : 'node_modules');
      fs.mkdirSync(modules, { recursive: true });
      fs.symlinkSync(INSTALLED, join(modules, 'better-sqlite3'));
      assert.deepEqual(run(program, elsewhere), { status: 0, stdout: 'better-sqlite3\n', stderr: '' });
    });
  }

  test('is not looked for in the current directory: what lies there is of somebody else', async () => {
    const { root, program, elsewhere } = await install('node_modules/queuectl/dist');
    fs.writeFileSync(join(root, 'package.json'), '{}');
    makePackage(elsewhere, '12.1.0', 'process.abort()');
    const stderr = `${NEEDED}. Install it: npm install better-sqlite3@12.\n`;
    assert.deepEqual(run(program, elsewhere), { status: 1, stdout: '', stderr });
  });

  test('of another version is not loaded: it would end the process', async () => {
    const { root, program, elsewhere } = await install('node_modules/queuectl/dist');
    fs.writeFileSync(join(root, 'package.json'), '{}');
    const directory = makePackage(root, '13.0.1', 'process.abort()');
    const { status, stderr } = run(program, elsewhere);
    const found = `${NEEDED} 12; ${directory} is version 13.0.1`;
    assert.deepEqual(
      { status, stderr },
      { status: 1, stderr: `${found}. Install the other: npm install better-sqlite3@12.\n` },
    );
  });

  test('that was built for another Node is to be built anew', async () => {
    const { root, program, elsewhere } = await install('dist');
    const directory = makePackage(root, '12.1.0', `throw new Error('NODE_MODULE_VERSION 99')`);
    const { status, stderr } = run(program, elsewhere);
    const fact = `${directory} cannot be loaded by Node ${process.versions.node}`;
    const remedy = `Build it anew: (cd ${root} && npm rebuild better-sqlite3).`;
    assert.deepEqual({ status, stderr }, { status: 1, stderr: `${fact}. ${remedy}\n` });
  });
});

test('Node has its own from 22.13 on', async () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  assert.equal(hasItsOwn, major > 22 || (major === 22 && minor >= 13));
  if (!hasItsOwn) return;
  const { program, elsewhere } = await install('dist');
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { cwd: elsewhere, encoding: 'utf8' });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 'node:sqlite\n', stderr: '' });
});
