import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { fromBase64, toBase64 } from './base64';

/** More than what one call takes as arguments, with all values of a byte. */
const LONG = Uint8Array.from({ length: 2 ** 15 * 2 + 7 }, (_, i) => (i * 31) % 256);

/** In a browser that has these methods, undefined for one without. */
function browser(t: TestContext, to?: () => string, from?: (text: string) => Uint8Array): void {
  const owners = [
    [Uint8Array.prototype, 'toBase64', to],
    [Uint8Array, 'fromBase64', from]
  ] as const;
  for (const [owner, name, value] of owners) {
    const before = Object.getOwnPropertyDescriptor(owner, name);
    Object.defineProperty(owner, name, { value, configurable: true });
    t.after(() => {
      if (before) {
        Object.defineProperty(owner, name, before);
      } else {
        Reflect.deleteProperty(owner, name);
      }
    });
  }
}

test('it is the base64 of everybody else, in older browsers', t => {
  browser(t);
  for (const length of [0, 1, 2, 3, 4, 256, LONG.length]) {
    const bytes = LONG.subarray(0, length);
    const text = Buffer.from(bytes).toString('base64');
    assert.equal(toBase64(bytes), text);
    assert.deepEqual(fromBase64(text), Uint8Array.from(bytes));
  }
});

test('a part of a larger buffer is that part', t => {
  browser(t);
  assert.equal(toBase64(LONG.subarray(5, 9)), Buffer.from(LONG.slice(5, 9)).toString('base64'));
});

test('what is no base64 is an error', t => {
  browser(t);
  assert.throws(() => fromBase64('%%%%'));
});

test('the methods of the browser are used where it has them', t => {
  const calls: string[] = [];
  browser(
    t,
    function (this: Uint8Array) {
      calls.push('to');
      return Buffer.from(this).toString('base64');
    },
    text => {
      calls.push('from');
      return Uint8Array.from(Buffer.from(text, 'base64'));
    }
  );
  assert.deepEqual(fromBase64(toBase64(LONG)), LONG);
  assert.deepEqual(calls, ['to', 'from']);
});
