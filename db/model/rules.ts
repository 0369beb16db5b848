/** What a field may hold: a test and the words for it, for records, input and settings alike. */
export const MAX_RETRIES_LIMIT = 1000;
const ID_MAX_CHARACTERS = 255;
export const PRIORITY_LIMIT = 1_000_000;
/** Seconds; Node's timers take no more than 2^31 - 1 milliseconds. */
export const TIMEOUT_LIMIT = 2_147_483;
/** Seconds: 31 years. */
export const BACKOFF_LIMIT = 1_000_000_000;
/** The latest time a JavaScript date can hold (ECMA-262, 21.4.1.1). */
export const LATEST_TIME = 8_640_000_000_000_000;
/** 2001-09-09. An earlier time is hardly ever meant: today's in seconds is below, and will be for 30,000 years. */
const EARLIEST_RUN_AT = 1_000_000_000_000;

/** What a field's value must be: a test, and the words that complete "must be …". */
export interface Rule {
  readonly holds: (value: unknown) => boolean;
  readonly words: string;
  /** What to do about a value that does not hold, where something better can be said than to correct it. */
  readonly remedy?: (value: unknown) => string;
}

const isInteger = (from: number, to: number) => (value: unknown) =>
  typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]/;

export const integerRule = (from: number, to: number): Rule => ({
  holds: isInteger(from, to),
  words: `an integer from ${from} to ${to}`,
});
export const timeRule: Rule = {
  holds: isInteger(0, LATEST_TIME),
  words: 'a time in integer milliseconds since the epoch',
};
/** For input: a record may have an earlier time. */
export const runAtRule: Rule = {
  holds: isInteger(EARLIEST_RUN_AT, LATEST_TIME),
  words: `${timeRule.words}, not before 2001-09-09`,
  remedy: (value) => {
    const asDate = typeof value === 'string' ? Date.parse(value) : Number.NaN;
    if (runAtRule.holds(asDate)) return `If it is meant as a date, give ${asDate}: ${new Date(asDate).toISOString()}.`;
    const inMs = typeof value === 'number' ? Math.round(value * 1000) : Number.NaN;
    return runAtRule.holds(inMs)
      ? `If it is meant in seconds, give ${inMs}: ${new Date(inMs).toISOString()}.`
      : 'Leave it out for a job that may run at once.';
  },
};
export const stringRule: Rule = { holds: (value) => typeof value === 'string', words: 'a string' };
export const idRule: Rule = {
  holds: (value) =>
    typeof value === 'string' &&
    value !== '' &&
    (value.length <= ID_MAX_CHARACTERS || [...value].length <= ID_MAX_CHARACTERS) && // the first is much faster
    !CONTROL_CHARACTERS.test(value) &&
    value.isWellFormed(),
  words: `a string of 1 to ${ID_MAX_CHARACTERS} characters without control characters`,
};
export const commandRule: Rule = {
  holds: (value) => typeof value === 'string' && value.trim() !== '' && !value.includes('\0') && value.isWellFormed(),
  words: 'a string that is not empty and has no NUL character',
};
export const numberRule = (from: number, to: number): Rule => ({
  holds: (value) => typeof value === 'number' && value >= from && value <= to,
  words: `a number from ${from} to ${to}`,
});
export const timeoutRule: Rule = {
  holds: (value) => typeof value === 'number' && value >= 0 && value <= TIMEOUT_LIMIT,
  words: `a number of seconds from 0 (no limit) to ${TIMEOUT_LIMIT}`,
};
export const retriesRule = integerRule(0, MAX_RETRIES_LIMIT);
export const priorityRule = integerRule(-PRIORITY_LIMIT, PRIORITY_LIMIT);
export const directoryRule: Rule = {
  holds: (value) => typeof value === 'string' && value.startsWith('/') && !value.includes('\0') && value.isWellFormed(),
  words: 'an absolute path',
};
export const orNull = (rule: Rule): Rule => ({
  holds: (value) => value === null || rule.holds(value),
  words: `${rule.words}, or null`,
});

export const inUnit = (unit: string, rule: Rule): Rule => ({ ...rule, words: `${rule.words} (${unit})` });

export type Fields = Record<string, unknown>;
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Says what is wrong with a record, as in `"attempts" must be an integer from 0 to …`, or undefined. */
export function findFault(
  value: unknown,
  rules: Readonly<Record<string, Rule>>,
  optional: ReadonlySet<string>,
): string | undefined {
  if (!isFields(value)) return 'not an object';
  for (const [field, rule] of Object.entries(rules)) {
    const found = value[field];
    if (found === undefined && optional.has(field)) continue;
    if (found === undefined) return `"${field}" is missing`;
    if (!rule.holds(found)) return `"${field}" must be ${rule.words}`;
  }
  return undefined;
}
