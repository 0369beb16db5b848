import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { PROGRAM } from './runCli.js';

/** Copies the built program to another place, as a package has it. @returns its file there */
export function install(place: string): string {
  mkdirSync(place);
  cpSync(dirname(PROGRAM), join(place, 'dist'), { recursive: true });
  symlinkSync(join(dirname(PROGRAM), '..', 'node_modules'), join(place, 'node_modules')); // the help needs yargs
  return join(place, 'dist', basename(PROGRAM));
}

/** Copies the built program to another place, as a clone has it. @returns its file there */
export function installClone(place: string): string {
  const program = install(place);
  writeFileSync(join(place, 'tsconfig.json'), '{}');
  return program;
}
