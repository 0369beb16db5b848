/** Words that are no command: those of other programs, and mistyped ones. They are understood, and never obeyed. */
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
