/** Finds the place where a text stops being JSON: what JSON.parse reports differs between versions of Node. */

const TOKEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings
  /[ \t\n\r]*([[\]{},:]|"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[^"\\\u0000-\u001f]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)?/y;

type Expected = 'value' | 'first element' | 'key' | 'first key' | 'colon' | 'comma or end' | 'nothing';

/**
 * Says where malformed JSON goes wrong, as in `at column 13: unexpected "hi}"`.
 *
 * @param text must not be valid JSON
 */
export function describeJsonFault(text: string): string {
  const offset = findJsonFault(text);
  const before = text.slice(0, offset).split('\n');
  const line = before.length > 1 ? `line ${before.length}, ` : '';
  const place = `at ${line}column ${(before.at(-1)?.length ?? 0) + 1}`;
  const rest = text.slice(offset);
  return `${place}: ${rest === '' ? 'it ends too early' : `unexpected ${JSON.stringify(excerpt(rest))}`}`;
}

const excerpt = (text: string) => (text.length <= 30 ? text : `${text.slice(0, 27)}...`);

/** The offset of the first token that cannot stand where it stands, or the text's length if it ends too early. */
export function findJsonFault(text: string): number {
  const open: string[] = [];
  let expected: Expected = 'value';
  let offset = 0;
  for (;;) {
    TOKEN.lastIndex = offset;
    const [matched = '', token] = TOKEN.exec(text) ?? [];
    offset += matched.length;
    const next: Expected | undefined = token === undefined ? undefined : whatFollows(token, expected, open);
    if (next === undefined) return offset - (token?.length ?? 0);
    expected = next;
  }
}

/**
 * What is expected after a token.
 *
 * @param open the brackets that are open; kept up to date
 * @returns undefined when the token cannot stand here
 */
function whatFollows(token: string, expected: Expected, open: string[]): Expected | undefined {
  const afterValue = () => (open.length === 0 ? 'nothing' : 'comma or end');
  switch (token) {
    case '{':
    case '[':
      if (expected !== 'value' && expected !== 'first element') return undefined;
      open.push(token);
      return token === '{' ? 'first key' : 'first element';
    case '}':
    case ']': {
      const first = token === '}' ? 'first key' : 'first element';
      const closes = open.at(-1) === (token === '}' ? '{' : '[');
      if (!closes || (expected !== 'comma or end' && expected !== first)) return undefined;
      open.pop();
      return afterValue();
    }
    case ',':
      if (expected !== 'comma or end') return undefined;
      return open.at(-1) === '{' ? 'key' : 'value';
    case ':':
      return expected === 'colon' ? 'value' : undefined;
    default:
      if (expected === 'value' || expected === 'first element') return afterValue();
      if (!token.startsWith('"')) return undefined;
      return expected === 'key' || expected === 'first key' ? 'colon' : undefined;
  }
}
