import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { findSharing, freeBytes } from '../../utils/fileSystem.js';
import { PROGRAM, withoutAdvice } from '../helpers/runCli.js';
import { tempStore } from '../helpers/tempStore.js';

test('a local directory is not shared, whether it is there yet or not', () => {
  const dir = tempStore();
  assert.equal(findSharing(dir), undefined);
  assert.equal(findSharing(join(dir, 'not', 'there', 'yet')), undefined);
  assert.ok(freeBytes(dir) > 0);
});

test('a folder that a program synchronises is told by the marks of that program, in it or above it', () => {
  for (const [mark, program] of [
    ['.stfolder', 'Syncthing'],
    ['.dropbox.cache', 'Dropbox'],
    ['.nextcloudsync.log', 'Nextcloud'],
  ] as const) {
    const root = tempStore();
    fs.mkdirSync(join(root, mark));
    assert.equal(findSharing(join(root, 'a', 'b')), `a folder that is synchronised (${program})`);
  }
  const root = tempStore();
  fs.mkdirSync(join(root, 'OneDrive - Work', 'jobs'), { recursive: true });
  assert.equal(findSharing(join(root, 'OneDrive - Work', 'jobs')), 'a folder that is synchronised (OneDrive)');
});

const hasStrace = spawnSync('strace', ['--version']).status === 0;

describe('a network file system', { skip: !hasStrace && 'needs strace, to change what statfs answers' }, () => {
  /** Runs the program in a world where every file system has this number. */
  function runOn(type: string, dataDir: string, ...args: string[]) {
    const inject = `inject=statfs:poke_exit=@arg2=${type}`;
    const words = ['-f', '-o', '/dev/null', '-e', 'trace=statfs', '-e', inject, process.execPath, PROGRAM, ...args];
    return spawnSync('strace', words, {
      encoding: 'utf8',
      timeout: 30_000,
      env: { PATH: process.env.PATH, HOME: dataDir, QUEUECTL_DATA_DIR: dataDir },
    });
  }
  const types = [
    ['NFS', '6969000000000000'],
    ['SMB', '424d53fe00000000'],
    ['9p', '9719020100000000'],
  ] as const;
  for (const [name, type] of types) {
    test(`${name}: a new queue there, its workers and its doctor warn`, () => {
      const dataDir = join(tempStore(), 'data');
      const warning = `queuectl: warning: ${dataDir} is in a network file system (${name}), where jobs may be lost or run twice. Choose a local directory with --data-dir.\n`;
      const first = runOn(type, dataDir, 'enqueue', 'true');
      assert.deepEqual({ status: first.status, stderr: withoutAdvice(first.stderr) }, { status: 0, stderr: warning });
      const second = runOn(type, dataDir, 'enqueue', 'true');
      assert.deepEqual({ status: second.status, stderr: withoutAdvice(second.stderr) }, { status: 0, stderr: '' });
      const doctor = runOn(type, dataDir, 'doctor');
      assert.equal(doctor.status, 1);
      assert.match(
        doctor.stdout,
        new RegExp(`^✖ file system: .* is in a network file system \\(${name}\\)\\. Choose `, 'm'),
      );
      const workers = runOn(type, dataDir, 'worker-start', '--count', '0x');
      assert.equal(workers.status, 2, 'bad input comes first');
    });
  }
});
