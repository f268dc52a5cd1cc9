import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readReceipt, readTransfer } from './reports';

test('a receipt has what the server says, as far as it can be', () => {
  const said = { device: 'cpu', seconds: 1, peak: null, bytes_up: 2, bytes_down: 3 };
  const receipt = { device: 'cpu', seconds: 1, peak: null, bytesUp: 2, bytesDown: 3 };
  assert.deepEqual(readReceipt(said), receipt);
  assert.deepEqual(readReceipt({ device: 1, seconds: -1, peak: NaN, bytes_up: '1' }), {
    device: null,
    seconds: null,
    peak: null,
    bytesUp: 0,
    bytesDown: 0
  });
  assert.equal(readReceipt({ ...said, device: 'x'.repeat(1000) })?.device?.length, 200);
  assert.equal(readReceipt(null), null);
});

test('a transfer has its bytes, or is none', () => {
  const said = { type: 'transfer', id: 'a', name: 'x', done: 0, total: 1, left: null } as const;
  const { type: _, ...transfer } = said;
  assert.deepEqual(readTransfer(said), transfer);
  for (const wrong of [{ name: 1 }, { done: -1 }, { total: '1' }]) {
    assert.equal(readTransfer({ ...said, ...wrong }), null);
  }
});
