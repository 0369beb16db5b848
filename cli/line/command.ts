import type { Place } from './address.js';
import type { Flag, OptionsOf } from './flags.js';

/** What the table says of a command. `dlq-list` can be typed as `dlq list` too. */
export interface Declaration<
  W extends readonly string[] = readonly string[],
  F extends readonly Flag[] = readonly Flag[],
> {
  readonly name: string;
  /** The one word that is short for it. */
  readonly short?: string;
  /** Its arguments: `<needed>`, `[optional]`, or `[any number...]`. */
  readonly words: W;
  /** What it does, in a line. */
  readonly summary: string;
  /** Its flags, besides those of every command. */
  readonly flags: F;
  /** What follows `queuectl` on the command line, and what that does. */
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** What it means when it exits with 1. */
  readonly failure?: string;
  /** A table that its help shows besides. */
  readonly table?: 'fields' | 'settings';
}

export const declare = <const W extends readonly string[], const F extends readonly Flag[]>(
  declaration: Declaration<W, F>,
): Declaration<W, F> => declaration;

/** What every command is told. */
export interface Context {
  readonly place: Place;
  readonly json: boolean;
  /** The whole command line, and how many of the command's words follow a `--` in it. */
  readonly args: readonly string[];
  readonly literal: number;
}

type WordsOf<W extends readonly string[]> = W extends readonly [infer First, ...infer Rest extends readonly string[]]
  ? First extends `${string}...]`
    ? string[]
    : First extends `<${string}>`
      ? [string, ...WordsOf<Rest>]
      : [string?, ...WordsOf<Rest>]
  : [];

/** The body of a command. */
export type Run<D extends Declaration> =
  D extends Declaration<infer W, infer F>
    ? (options: OptionsOf<F> & Context, ...words: WordsOf<W>) => Promise<void>
    : never;

/** A command: what the table says, and a body that is loaded when it runs. */
export interface Command extends Declaration {
  /** @param options as `readOptions` has read the flags of this very command */
  run(options: Context & Readonly<Record<string, unknown>>, words: readonly string[]): Promise<void>;
}

export const command = <D extends Declaration>(
  declaration: D,
  load: () => Promise<{ readonly run: Run<D> }>,
): Command => ({
  ...declaration,
  async run(options, words) {
    const { run } = await load();
    // The flags have been read by the declaration, and the words counted: they are what its body is typed to.
    await (run as (options: unknown, ...words: readonly string[]) => Promise<void>)(options, ...words);
  },
});
