/**
 * Random hexadecimal digits for names that must not occur twice. They are no secret: V8 seeds its generator from the
 * system's entropy in every process, and node:crypto would take several milliseconds to load.
 *
 * @param digits how many; 4 bits each
 */
export function randomHex(digits: number): string {
  let text = '';
  while (text.length < digits) {
    text += Math.floor(Math.random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0');
  }
  return text.slice(0, digits);
}
