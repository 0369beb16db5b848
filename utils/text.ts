/**
 * Whether a text may be one that the system has as other bytes: what is not UTF-8 is read as U+FFFD. To go on with it would mean
 * another file, or make two of them one.
 */
export const mayBeLossy = (text: string): boolean => text.includes('\uFFFD');

/** A value as it stands in a message: JSON, cut to a length that fits one line. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
