import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { crc32 } from '../../utils/checksum.js';

test('it is the CRC-32 that everybody knows, at once or in parts', () => {
  assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926);
  assert.equal(crc32(Buffer.alloc(0)), 0);
  for (const length of [1, 9999, 10_000, 25_000]) {
    const content = randomBytes(length);
    assert.equal(crc32(content), zlibCrc32(content));
    for (const cut of [0, 1, length >> 1, length]) {
      assert.equal(crc32(content.subarray(cut), crc32(content.subarray(0, cut))), zlibCrc32(content));
    }
  }
});
