/** Every kind of command, run where it may be refused. */
import assert from 'node:assert/strict';
import { assertWithin } from '../helpers/assertWithin.js';
import type { TestStore } from '../integration/support.js';
import { assertDone, assertRefused, type Environment, queuectl, run } from './run.js';

/** What is there in place of the lock may be a lock, which takes 3 seconds to grow stale. */
const AT_ONCE_MS = 8000;

const COMMANDS = {
  enqueue: ['enqueue', 'true'],
  list: ['list'],
  status: ['status'],
  'dlq-retry': ['dlq-retry', 'dead'],
  'config-set': ['config-set', 'max_retries', '3'],
  'worker-start': ['worker-start'],
} as const;
export type Name = keyof typeof COMMANDS;
/** Those that write. */
export const WRITING: readonly Name[] = ['enqueue', 'dlq-retry', 'config-set', 'worker-start'];
export const ALL = Object.keys(COMMANDS) as Name[]; // its own keys, and no others

interface Place extends Environment {
  /** What an error is to name; the directory of the store if absent. */
  readonly culprit?: string;
}

/** Runs every command. @returns those that were refused */
export async function refusedCommands(place: Place, wrapper: readonly string[] = []): Promise<Name[]> {
  const { directory, culprit = directory } = place;
  const refused: Name[] = [];
  for (const name of ALL) {
    const ended = await run([...wrapper, ...queuectl(...COMMANDS[name])], place);
    await assertWithin(ended.ms, AT_ONCE_MS, name);
    if (ended.code === 0) continue;
    assertRefused({ ...ended, stdout: ended.stdout.replace(/^Starting .*\n/, '') }, name);
    assert.ok(ended.stderr.includes(culprit), `${name} does not name ${culprit}: ${ended.stderr}`);
    refused.push(name);
  }
  return refused;
}

/** Fails unless the store works, and has nothing but what was put into it and what was acknowledged. */
export async function checkIntact(store: TestStore, as: readonly string[] = []): Promise<void> {
  assertDone(await run([...as, ...queuectl('worker-stop')], store), 'worker-stop');
  assertDone(await run([...as, ...queuectl('enqueue', '--id', 'last', 'true')], store), 'enqueue');
  await store.assertNothingLeft();
  const ids = [...store.queue(), ...store.dead()].map(({ id }) => id);
  for (const id of ['dead', 'p', 'q', 'r', 'last']) assert.ok(ids.includes(id), `${id} is lost`);
}
