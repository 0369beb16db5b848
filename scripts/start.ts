/**
 * `npm start`: workers in the foreground, from the source, which finish their jobs and start again when it changes. What
 * follows (`npm start -- --count 2`) are flags of worker-start. Ctrl-C stops them; again, it ends their jobs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '..');
const LAYERS = ['cli', 'core', 'db', 'utils'];
const DATA = join(ROOT, 'db', 'data');
const SOURCE = /\.(m?ts|pl)$/;
const USAGE = 2;

/** An editor that saves a file, or several, tells of it several times. */
const SETTLE_MS = 100;
/** The terminal sends Ctrl-C to all it runs, and npm hands its own on. */
const SAME_REQUEST_MS = 1000;

let workers: ChildProcess | undefined;
let isToStart = false;
let stopAskedAt: number | undefined;

function start(): void {
  isToStart = false;
  const program = ['--import', 'tsx', join(ROOT, 'cli/bin/queuectl.mts'), 'worker-start', '--foreground'];
  workers = spawn(process.execPath, [...program, ...process.argv.slice(2)], {
    cwd: ROOT,
    detached: true, // so that it gets each request to stop once, from here
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  workers.once('exit', (code) => {
    workers = undefined;
    if (stopAskedAt !== undefined || (!isToStart && (code === 0 || code === USAGE))) process.exit(code ?? 1);
    if (isToStart) start();
    else talk('The workers are gone. They start again when the source changes.');
  });
}

async function startAgain(): Promise<void> {
  if (isToStart || stopAskedAt !== undefined) return;
  isToStart = true;
  await delay(SETTLE_MS);
  if (workers === undefined) return start();
  talk('The source has changed: the workers finish their jobs and start again.');
  workers.kill('SIGHUP'); // the request that counts once, however often it comes
}

function stop(): void {
  if (workers === undefined) process.exit();
  if (stopAskedAt === undefined) {
    stopAskedAt = performance.now();
    workers.kill('SIGHUP');
  } else if (performance.now() - stopAskedAt > SAME_REQUEST_MS) {
    workers.kill('SIGTERM');
  }
}

function* directoriesIn(directory: string): Generator<string> {
  if (directory === DATA) return;
  yield directory;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) yield* directoriesIn(join(directory, entry.name));
  }
}

const talk = (text: string) => console.error(text);

for (const layer of LAYERS) {
  for (const directory of directoriesIn(join(ROOT, layer))) {
    watch(directory, (_event, name) => {
      if (name !== null && SOURCE.test(name)) void startAgain();
    });
  }
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
start();
