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
  timeoutRule,
  timeRule,
} from './rules.js';

/** A job as its caller describes it; what is absent is filled in at enqueue. */
export interface JobInput {
  readonly id?: string;
  readonly command: string;
  readonly max_retries?: number;
  readonly run_at?: number;
  readonly priority?: number;
  /** Seconds. */
  readonly timeout?: number;
  readonly cwd?: string;
}

const INPUT_RULES: Record<keyof JobInput, Rule> = {
  id: idRule,
  command: commandRule,
  max_retries: retriesRule,
  run_at: timeRule,
  priority: priorityRule,
  timeout: timeoutRule,
  cwd: directoryRule,
};
const INPUT_RULES_BY_NAME = new Map<string, Rule>(Object.entries(INPUT_RULES));

/**
 * Checks a job description from outside.
 *
 * @throws QueuectlError INVALID: not an object, a field missing, unknown or out of range
 */
export function checkJobInput(value: unknown): JobInput {
  const invalid = (fact: string, remedy: string) => new QueuectlError('INVALID', fact, remedy);
  if (!isFields(value)) {
    throw invalid('a job must be a JSON object', 'Example: {"id":"job1","command":"echo hi"}.');
  }
  if (value.command === undefined) throw invalid('the job has no "command"', 'Add "command" with the shell command.');
  for (const field of Object.keys(value)) {
    const found = value[field];
    const rule = INPUT_RULES_BY_NAME.get(field);
    if (rule === undefined) {
      const known = Object.keys(INPUT_RULES).join(', ');
      throw invalid(`unknown field ${quote(field)} in the job`, `Known fields: ${known}.`);
    }
    if (!rule.holds(found)) throw invalid(`"${field}" must be ${rule.words}, not ${quote(found)}`, 'Correct the job.');
  }
  return value as unknown as JobInput; // every field has just been checked
}
