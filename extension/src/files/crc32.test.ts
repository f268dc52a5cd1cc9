import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as zlib from 'node:zlib';

import { crc32 } from './crc32';

test('it has the check value of CRC-32', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
});

test('it is what zlib says, and never negative', () => {
  const bytes = randomBytes(100_000);
  for (const length of [0, 1, 2, 255, 4096, bytes.length]) {
    const part = bytes.subarray(0, length);
    assert.equal(crc32(part), zlib.crc32(part), part.toString('hex').slice(0, 100));
  }
});

test('a part of a larger buffer has its own, and one bit makes another', () => {
  const bytes = randomBytes(100);
  assert.equal(crc32(bytes.subarray(10, 20)), zlib.crc32(Buffer.from(bytes.subarray(10, 20))));
  const before = crc32(bytes);
  bytes[50]! ^= 4;
  assert.notEqual(crc32(bytes), before);
});
