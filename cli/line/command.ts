import type { FlagName, Flags } from './flags.js';

/** What a command is told. */
export interface Options extends Flags {
  /** The directory the store is in; absolute. */
  readonly dataDir: string;
}

/** One command of the command line. `dlq-list` can be typed as `dlq list` too. */
export interface Command {
  readonly name: string;
  /** Its arguments: `<needed>`, `[optional]`, or `[any number...]`. */
  readonly words: readonly string[];
  /** What it does, in a line. */
  readonly summary: string;
  /** Its flags, besides those of every command. */
  readonly flags: readonly FlagName[];
  /** What follows `queuectl` on the command line, and what that does. */
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** @param words as many as `words` says */
  readonly run: (options: Options, ...words: string[]) => Promise<void>;
}
