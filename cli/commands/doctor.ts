import { examine, type Finding } from '../../core/doctor.js';
import type { Run } from '../line/command.js';
import { print, toJson, visible } from '../text/output.js';
import type { doctor } from './index.js';

export const run: Run<typeof doctor> = async ({ place, json, fix = false }) => {
  const checks: Finding[] = [];
  for await (const finding of examine(place.address, { fix })) {
    checks.push(finding);
    if (!json) print(describe(finding));
  }
  const ok = checks.every(({ state }) => state !== 'wrong');
  if (json) print(toJson({ ok, checks }));
  if (!ok) process.exitCode = 1;
};

const SIGNS = { ok: '✔', wrong: '✖', fixed: '✔' };

function describe({ check, state, fact, remedy }: Finding): string {
  const text = state === 'fixed' ? `fixed: ${fact}` : fact;
  return visible(`${SIGNS[state]} ${check}: ${text}${remedy === '' ? '' : `. ${remedy}`}`);
}
