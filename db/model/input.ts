import { QueuectlError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';
import {
  commandRule,
  directoryRule,
  idRule,
  isFields,
  priorityRule,
  type Rule,
  retriesRule,
  runAtRule,
  timeoutRule,
} from './rules.js';

/** A job as its caller describes it; what is absent is filled in at enqueue. */
export interface JobInput {
  readonly id?: string;
  readonly command: string;
  readonly max_retries?: number;
  readonly run_at?: number;
  readonly priority?: number;
  /** Seconds; 0 means that there is no limit. */
  readonly timeout?: number;
  readonly cwd?: string;
}

/** What each field may hold, and what it says. */
export const INPUT_FIELDS: Readonly<Record<keyof JobInput, { readonly rule: Rule; readonly meaning: string }>> = {
  id: { rule: idRule, meaning: 'names the job; default: a generated one' },
  command: { rule: commandRule, meaning: 'what /bin/sh -c runs; needed' },
  max_retries: { rule: retriesRule, meaning: 'retries after the first attempt; default: the setting max_retries' },
  run_at: { rule: runAtRule, meaning: 'not run before; default: now' },
  priority: { rule: priorityRule, meaning: 'higher runs first; default: 0' },
  timeout: { rule: timeoutRule, meaning: 'how long an attempt may last; default: the setting job_timeout' },
  cwd: { rule: directoryRule, meaning: 'the directory it runs in; default: the current one' },
};
const RULES = new Map<string, Rule>(Object.entries(INPUT_FIELDS).map(([field, { rule }]) => [field, rule]));

/**
 * Checks a job description from outside.
 *
 * @throws QueuectlError INVALID, with the field: not an object, a field missing, unknown or out of range
 */
export function checkJobInput(value: unknown): JobInput {
  if (!isFields(value)) {
    throw new QueuectlError('INVALID', 'a job must be a JSON object', 'Example: {"id":"job1","command":"echo hi"}.');
  }
  const invalid = (field: string, fact: string, remedy: string) =>
    new QueuectlError('INVALID', fact, remedy, { data: { field } });
  for (const field of Object.keys(value)) {
    const found = value[field];
    const rule = RULES.get(field);
    if (rule === undefined) {
      const known = [...RULES.keys()].join(', ');
      throw invalid(field, `unknown field ${quote(field)} in the job`, `Known fields: ${known}.`);
    }
    if (rule.holds(found)) continue;
    const remedy = rule.remedy?.(found) ?? 'Correct the job.';
    throw invalid(field, `"${field}" must be ${rule.words}, not ${quote(found)}`, remedy);
  }
  if (value.command === undefined) {
    throw invalid('command', 'the job has no "command"', 'Add "command" with the shell command.');
  }
  return value as unknown as JobInput; // every field has just been checked
}
