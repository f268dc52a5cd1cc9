import assert from 'node:assert/strict';
import { test } from 'node:test';

import { crc32 } from './crc32';

test('it is that of zlib', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  // Of Python 3.11's zlib.crc32.
  assert.equal(crc32(bytes('')), 0);
  assert.equal(crc32(bytes('123456789')), 0xcbf43926);
  assert.equal(crc32(Uint8Array.from({ length: 256 }, (_, byte) => byte)), 0x29058c73);
});
