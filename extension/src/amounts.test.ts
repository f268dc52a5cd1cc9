import assert from 'node:assert/strict';
import { test } from 'node:test';

import { age, clock, duration, size } from './amounts';

test('bytes are written in their largest unit', () => {
  const written = [0, 1023, 1024, 10 * 2 ** 20, 2.5 * 2 ** 30, 2 ** 50].map(size);
  assert.deepEqual(written, ['0 B', '1023 B', '1.0 KiB', '10 MiB', '2.5 GiB', '1024 TiB']);
});

test('seconds are written with the digits that count', () => {
  const written = [0, 0.0042, 0.12, 3.44, 59.9, 59.96, 3661].map(duration);
  assert.deepEqual(written, ['0 ms', '4 ms', '0.12 s', '3.4 s', '59.9 s', '0:59', '1:01:01']);
  assert.deepEqual([0, 61.9, 3600].map(clock), ['0:00', '1:01', '1:00:00']);
});

test('ages are in their largest unit', () => {
  for (const [seconds, text] of [
    [-1, '0 s'],
    [59.9, '59 s'],
    [60, '1 min'],
    [3 * 3600, '3 h'],
    [50 * 3600, '2 d']
  ] as const) {
    assert.equal(age(seconds), text);
  }
});
