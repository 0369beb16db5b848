import { examine, type Finding } from '../../core/doctor.js';
import type { Command } from '../line/command.js';
import { print, toJson, visible } from '../text/output.js';

export const doctor: Command = {
  name: 'doctor',
  words: [],
  summary: 'Check everything about the queue, a line each; repair it with --fix',
  flags: ['fix'],
  examples: [
    ['doctor', 'what is wrong, if anything; exit code 1 if so'],
    ['doctor --fix', 'repair it, and keep a copy of what is replaced'],
  ],
  async run({ dataDir, json, fix = false }) {
    const checks: Finding[] = [];
    for await (const finding of examine(dataDir, { fix })) {
      checks.push(finding);
      if (!json) print(describe(finding));
    }
    const ok = checks.every(({ state }) => state !== 'wrong');
    if (json) print(toJson({ ok, checks }));
    if (!ok) process.exitCode = 1;
  },
};

const SIGNS = { ok: '✔', wrong: '✖', fixed: '✔' };

function describe({ check, state, fact, remedy }: Finding): string {
  const text = state === 'fixed' ? `fixed: ${fact}` : fact;
  return visible(`${SIGNS[state]} ${check}: ${text}${remedy === '' ? '' : `. ${remedy}`}`);
}
