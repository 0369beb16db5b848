import assert from 'node:assert/strict';
import { runCli } from './runCli.js';

/**
 * Fails unless something took less than its limit. Where it took more, a command that does nothing tells how slow the machine
 * is just now, and ten times that is allowed on top.
 */
export async function assertWithin(ms: number, limitMs: number, what: string): Promise<void> {
  if (ms < limitMs) return;
  const began = performance.now();
  await runCli(['--version'], { dataDir: '/' });
  const allowedMs = limitMs + 10 * (performance.now() - began);
  assert.ok(ms < allowedMs, `${what}: it took ${ms} ms, and ${allowedMs} were allowed`);
}
