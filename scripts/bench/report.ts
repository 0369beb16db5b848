/** The table, and the machine it was made on. */
import fs from 'node:fs';
import os from 'node:os';
import { digits, median, type Row, type Skipped, type Target, verdictOn } from './figure.js';

/** What the figures depend on: `2 × AMD EPYC, Debian GNU/Linux 12 (bookworm), Node v22.0.0`. */
export function describeMachine(): string {
  const cores = os.cpus();
  return `${cores.length} × ${cores[0]?.model.trim() ?? os.arch()}, ${systemName()}, Node ${process.version}`;
}

function systemName(): string {
  const release = fs.existsSync('/etc/os-release') ? fs.readFileSync('/etc/os-release', 'utf8') : '';
  return /^PRETTY_NAME="?([^"\n]+)/m.exec(release)?.[1] ?? `${os.type()} ${os.release()}`;
}

const HEAD = ['figure', 'against', 'median', 'min–max', 'rounds', 'must reach', 'aim', ''];

/** The rows in columns, as Markdown reads them. */
export function table(rows: readonly (Row | Skipped)[]): string {
  const lines = rows.map((row) => ('skipped' in row ? [row.what, '', 'skipped'] : cells(row)));
  const all = [HEAD, ...lines];
  const widths = HEAD.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const shown = (line: readonly string[]) =>
    `| ${widths.map((width, column) => (line[column] ?? '').padEnd(width)).join(' | ')} |`;
  return [shown(HEAD), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...lines.map(shown)].join('\n');
}

function cells(row: Row): string[] {
  const { what, against, unit, rounds, target } = row;
  return [
    what,
    against ?? '–',
    `${digits(median(rounds))} ${unit}`,
    `${digits(Math.min(...rounds))}–${digits(Math.max(...rounds))}`,
    String(rounds.length),
    target === undefined ? '' : limit(target, target.mustReach),
    target?.aim === undefined ? '' : limit(target, target.aim),
    verdictOn(row) ?? '',
  ];
}

const limit = ({ sign }: Target, value: number) => `${sign} ${value}`;

/** What each row was made of, or why it was skipped. */
export const details = (rows: readonly (Row | Skipped)[]): string =>
  rows.map((row) => `- ${row.what}: ${'skipped' in row ? row.skipped : row.detail}`).join('\n');

/** The same for programs. */
export const asJson = (rows: readonly (Row | Skipped)[]): object[] =>
  rows.map((row) => ('skipped' in row ? row : { ...row, median: median(row.rounds), verdict: verdictOn(row) ?? null }));
