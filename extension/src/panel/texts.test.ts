import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ageText, sizeText } from './texts';

test('sizes have two or three digits and a unit', () => {
  for (const [bytes, text] of [
    [null, ''],
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1.5 * 2 ** 20, '1.5 MiB'],
    [80 * 2 ** 30, '80 GiB'],
    [2 ** 40, '1.0 TiB']
  ] as const) {
    assert.equal(sizeText(bytes), text);
  }
});

test('ages are in their largest unit', () => {
  for (const [seconds, text] of [
    [-1, '0 s'],
    [59.9, '59 s'],
    [60, '1 min'],
    [3 * 3600, '3 h'],
    [50 * 3600, '2 d']
  ] as const) {
    assert.equal(ageText(seconds), text);
  }
});
