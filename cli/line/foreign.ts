/** Words and flags that are none: those of other programs, and mistyped ones. They are understood, and never obeyed. */
import { JOB_STATES } from '../../db/model/job.js';
import { findConfigKey } from '../../db/model/settings.js';
import { nearest } from './nearest.js';

const didYouMean = (name: string) => `Did you mean ${name}? See \`queuectl --help\`.`;

const SENTENCES: readonly (readonly [words: string, advice: string])[] = [
  ['add submit push', didYouMean('enqueue')],
  ['tail follow log', didYouMean('logs')],
  ['ps ls', didYouMean('list')],
  ['top watch stats', didYouMean('status')],
  ['info show', 'There is no command for one job yet; `queuectl list` prints all that is known of each.'],
  [
    'kill abort cancel',
    'No command cancels one job yet; `queuectl worker-stop --now` ends all that run, and gives them back.',
  ],
  [
    'rerun restart',
    'No command does that yet, but for jobs in the dead letter queue: see `queuectl dlq-retry --help`.',
  ],
  ['stash pause', 'No command does that yet; after `queuectl worker-stop` no job begins until workers are started.'],
  ['rm delete remove clean clear prune', 'No command removes jobs yet. See `queuectl --help`.'],
];

const ADVICE = new Map(SENTENCES.flatMap(([words, advice]) => words.split(' ').map((word) => [word, advice] as const)));

/** What to do who typed this word for a command. */
export function adviseInPlaceOf(word: string, commands: readonly string[]): string {
  const known = ADVICE.get(word);
  if (known !== undefined) return known;
  const meant = nearest(word, commands);
  return meant === undefined ? 'See `queuectl --help`.' : didYouMean(meant);
}

/**
 * What to do who typed this flag, which no command has.
 *
 * @param line a command line of these words, for the same store
 */
export function adviseInPlaceOfFlag(
  command: string | undefined,
  flag: string,
  value: unknown,
  line: (...words: string[]) => string,
): string | undefined {
  switch (`${command} --${flag}`) {
    case 'list --status':
      return isState(value) ? `Did you mean \`${line('list', '--state', value)}\`?` : 'Did you mean --state?';
    case 'worker-stop --force':
      return `Did you mean \`${line('worker-stop', '--now')}\`? It ends what runs.`;
    case 'logs --f':
    case 'logs --follow':
      return 'It prints what there is so far; no command follows a job yet.';
    case 'dlq-retry --all':
      return `It brings back one job; \`${line('dlq-list')}\` prints them all with their ids.`;
    default:
      return undefined;
  }
}

/** The words that are meant by those that a command does not take. */
export function adviseInPlaceOfWords(command: string, [first = '', second, ...more]: readonly string[]) {
  if (more.length > 0) return undefined;
  if (command === 'worker-start' && second === undefined && /^[1-9]\d*$/.test(first))
    return [command, '--count', first];
  if (command === 'list' && second === undefined && isState(first)) return ['list', '--state', first];
  const [name, value] = command === 'config-get' ? [first, second] : (/^([^=]+)=(.+)$/s.exec(first)?.slice(1) ?? []);
  const key = findConfigKey(name?.replaceAll('-', '_') ?? '');
  const isSetting = command === 'config-get' || (command === 'config-set' && second === undefined);
  return isSetting && key !== undefined && value !== undefined ? ['config-set', key, value] : undefined;
}

const isState = (value: unknown): value is string => JOB_STATES.some((state) => state === value);
