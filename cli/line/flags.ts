/** Every flag there is: what it is called, what it takes, what it means, and how its text becomes a value. */
import { JOB_STATES } from '../../db/model/job.js';
import { MAX_RETRIES_LIMIT, PRIORITY_LIMIT, type Rule, runAtRule, TIMEOUT_LIMIT } from '../../db/model/rules.js';
import { QueuectlError } from '../../utils/errors.js';
import { quote } from '../../utils/text.js';

/** A flag has one meaning wherever it is accepted. */
export interface Flag<N extends string = string, T = unknown> {
  readonly name: N;
  /** One letter. */
  readonly alias?: string;
  /** What its value is; absent for a switch. */
  readonly takes?: string;
  readonly describe: string;
  /**
   * @param text what was typed; of a switch nothing
   * @throws QueuectlError USAGE
   */
  readonly read: (text: string) => T;
}

/** What flags say, by their names. */
export type OptionsOf<F extends readonly Flag[]> = {
  readonly [X in F[number] as X['name']]?: ReturnType<X['read']> | undefined;
};

const toggle = <N extends string>(name: N, describe: string, alias?: string): Flag<N, true> => ({
  name,
  describe,
  read: () => true,
  ...(alias === undefined ? {} : { alias }),
});

const text = <N extends string>(name: N, takes: string, describe: string): Flag<N, string> => ({
  name,
  takes,
  describe,
  read: (value) => value,
});

const oneOf = <N extends string, V extends string>(name: N, values: readonly V[], describe: string): Flag<N, V> => ({
  name,
  takes: name,
  describe: `${describe}: ${values.join(', ')}`,
  read: (value) => {
    const known = values.find((each) => each === value);
    if (known !== undefined) return known;
    throw usage(`unknown ${name} ${quote(value)}`, `Known ${name}s: ${values.join(', ')}.`);
  },
});

const integer = <N extends string>(
  name: N,
  [from, to]: readonly [from: number, to: number],
  describe: string,
): Flag<N, number> => ({
  name,
  takes: 'integer',
  describe,
  read: (value) => {
    const found = toInteger(value);
    if (found >= from && found <= to) return found;
    throw usage(`--${name} must be an integer from ${from} to ${to}, not ${quote(value)}`);
  },
});

const seconds = <N extends string>(name: N, to: number, describe: string): Flag<N, number> => ({
  name,
  takes: 'seconds',
  describe,
  read: (value) => {
    const found = /^\+?(\d+\.?\d*|\.\d+)$/.test(value) ? Number(value) : Number.NaN;
    if (found <= to) return found;
    throw usage(`--${name} must be a number of seconds from 0 to ${to}, not ${quote(value)}`);
  },
});

/** A time in milliseconds, as a rule has it. */
const time = <N extends string>(name: N, rule: Rule, describe: string): Flag<N, number> => ({
  name,
  takes: 'time',
  describe,
  read: (value) => {
    const found = toInteger(value);
    if (rule.holds(found)) return found;
    if (Number.isNaN(found)) {
      throw usage(`--${name} must be an integer, in milliseconds since the epoch, not ${quote(value)}`);
    }
    throw usage(`--${name} must be ${rule.words}, not ${value}`, rule.remedy?.(found));
  },
});

const toInteger = (value: string) => (/^[+-]?\d+$/.test(value) ? Number(value) : Number.NaN);

const usage = (fact: string, remedy = 'Correct the number.') => new QueuectlError('USAGE', fact, remedy);

const DELAY_LIMIT_SECONDS = 1_000_000_000;
const [COUNT_LIMIT, CONCURRENCY_LIMIT] = [256, 1000];

export const FLAGS = {
  id: text('id', 'text', 'The id of the job (default: a generated one)'),
  maxRetries: integer(
    'max-retries',
    [0, MAX_RETRIES_LIMIT],
    `Retries after the first attempt, 0 to ${MAX_RETRIES_LIMIT} (default: the setting max_retries)`,
  ),
  delay: seconds('delay', DELAY_LIMIT_SECONDS, 'Not run before so long from now'),
  runAt: time('run-at', runAtRule, 'Not run before this time, in milliseconds since the epoch'),
  priority: integer('priority', [-PRIORITY_LIMIT, PRIORITY_LIMIT], 'Higher runs first (default: 0)'),
  timeout: seconds(
    'timeout',
    TIMEOUT_LIMIT,
    'How long an attempt may last; 0 is no limit (default: the setting job_timeout)',
  ),
  file: text('file', 'path', 'Read the jobs from this file, one a line; - is stdin'),
  state: oneOf('state', JOB_STATES, 'Only jobs in this state'),
  count: integer('count', [1, COUNT_LIMIT], `How many worker processes, 1 to ${COUNT_LIMIT} (default: 1)`),
  concurrency: integer(
    'concurrency',
    [1, CONCURRENCY_LIMIT],
    `How many jobs each worker runs at once, 1 to ${CONCURRENCY_LIMIT} (default: 1)`,
  ),
  foreground: toggle('foreground', 'Stay, and show each job start and end'),
  now: toggle('now', 'End the running commands and give their jobs back'),
  fix: toggle('fix', 'Repair what can be repaired, and keep a copy of what is replaced'),
  dataDir: text('data-dir', 'path', 'The directory the queue is in (default: $QUEUECTL_DATA_DIR, or see below)'),
  store: text('store', 'address', 'Where the queue is: file:/path or sqlite:/path/queue.db (default: $QUEUECTL_STORE)'),
  envFile: text('env-file', 'path', 'Read environment variables from this file; those that are set already win'),
  json: toggle('json', 'Print one JSON value and nothing else; errors are a JSON line on stderr'),
  help: toggle('help', 'Show help', 'h'),
  version: toggle('version', 'Show the version', 'v'),
} as const;

export const ALL_FLAGS: readonly Flag[] = Object.values(FLAGS);

export const GLOBAL_FLAGS = [FLAGS.dataDir, FLAGS.store, FLAGS.envFile, FLAGS.json, FLAGS.help, FLAGS.version] as const;
export type GlobalOptions = OptionsOf<typeof GLOBAL_FLAGS>;
