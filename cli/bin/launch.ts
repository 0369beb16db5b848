/**
 * The program that is installed: runs the bundle of `queuectl.ts`, if possible from the code that V8 had compiled when it
 * was built. Another V8 refuses that code, and compiles the bundle as usual; it takes 5 ms of the 20 that a command takes.
 */
import fs from 'node:fs';
import { Script } from 'node:vm';

const file = `${__dirname}/main.cjs`;
const bundle = fs.readFileSync(file);
const cachedData = readCode(`${__dirname}/main.cache`);
const source = `(function (exports, require, module, __filename, __dirname) {${bundle}\n});`;
const script = new Script(source, { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
script.runInThisContext()(exports, require, module, file, __dirname);

/**
 * V8 looks at the length of the code and of its source only, and dies of damaged code. So the file holds the bundle, and
 * the code twice: to compare takes nothing, where a checksum would take as long as the code saves.
 */
function readCode(path: string): Buffer | undefined {
  if (!fs.existsSync(path)) return undefined;
  const content = fs.readFileSync(path);
  const codes = content.subarray(bundle.length);
  const middle = codes.length / 2;
  const code = codes.subarray(0, middle);
  const isWhole = content.subarray(0, bundle.length).equals(bundle) && code.equals(codes.subarray(middle));
  return isWhole && code.length > 0 ? code : undefined;
}

/** What `main.cache` is to hold after what has been run. */
function codeToKeep(): Buffer {
  const code = script.createCachedData();
  return Buffer.concat([bundle, code, code]);
}

export { codeToKeep, script };
