import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fromBase64, toBase64 } from './base64';

test('bytes come back as they were, and are written as others write them', () => {
  for (const size of [0, 1, 2, 3, 4, 255, 100_000]) {
    const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7) & 255);
    assert.equal(toBase64(bytes), Buffer.from(bytes).toString('base64'), `${size} bytes`);
    assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  }
});
