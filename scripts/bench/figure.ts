/** What a figure is, and the arithmetic of its samples. */
import type { Bench } from './bench.js';

/** One kind of figure: a row of the table, or several that come from the same measurement. */
export interface Figure {
  /** As given to `--only`. */
  readonly name: string;
  /** Why it cannot be measured in this run; undefined when it can. */
  readonly obstacle?: (bench: Bench) => string | undefined;
  readonly measure: (bench: Bench) => Promise<Row[]>;
}

/** One row of the table. */
export interface Row {
  readonly what: string;
  /** What ran beside it; the figure is a ratio then. Null for one that stands by itself. */
  readonly against: string | null;
  readonly unit: '×' | 'ms' | 's' | 'MB' | '%' | 'a second';
  /** One figure a round. The table shows their median and spread. */
  readonly rounds: readonly number[];
  readonly target?: Target;
  /** What the figure was made of. */
  readonly detail: string;
}

/** A row that was not measured. */
export interface Skipped {
  readonly what: string;
  readonly skipped: string;
}

export interface Target {
  readonly sign: '≤' | '<' | '≥' | '>';
  readonly mustReach: number;
  readonly aim?: number;
}

export type Verdict = 'aim reached' | 'reached' | 'MISSED';

/** Judges the median of a row's rounds; undefined where the row has no target. */
export function verdictOn({ rounds, target }: Row): Verdict | undefined {
  if (target === undefined) return undefined;
  const value = median(rounds);
  if (!meets(value, target.sign, target.mustReach)) return 'MISSED';
  return target.aim !== undefined && meets(value, target.sign, target.aim) ? 'aim reached' : 'reached';
}

function meets(value: number, sign: Target['sign'], limit: number): boolean {
  switch (sign) {
    case '≤':
      return value <= limit;
    case '<':
      return value < limit;
    case '≥':
      return value >= limit;
    case '>':
      return value > limit;
  }
}

/** The value below which `share` of the samples lie; between two samples it is interpolated. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)];
  const above = sorted[Math.ceil(at)];
  if (below === undefined || above === undefined) throw new Error('a quantile needs samples');
  return below + (above - below) * (at - Math.floor(at));
}

export const median = (samples: readonly number[]) => quantile(samples, 0.5);

/** Round by round, so that both sides of each ratio met the same state of the machine. */
export const ratios = (samples: readonly number[], beside: readonly number[]) =>
  samples.map((sample, round) => sample / (beside[round] ?? Number.NaN));

/** Measures each side once in every round: A B A B, so that a machine that slows down slows all of them down. */
export async function interleave<Side extends string>(
  rounds: number,
  sides: Readonly<Record<Side, () => Promise<number>>>,
): Promise<Record<Side, number[]>> {
  const names = Object.keys(sides) as Side[]; // a Record's keys are its key type
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Side, number[]>;
  for (let round = 0; round < rounds; round++) {
    for (const name of names) samples[name].push(await sides[name]());
  }
  return samples;
}

/** Three digits: as many as a figure with this much spread deserves. */
export function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2);
}

export const milliseconds = (samples: readonly number[]) => {
  const ms = median(samples);
  return ms >= 1000 ? `${digits(ms / 1000)} s` : `${digits(ms)} ms`;
};

export const count = (value: number) => value.toLocaleString('en');
