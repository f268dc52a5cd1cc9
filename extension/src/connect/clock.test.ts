import assert from 'node:assert/strict';
import { test } from 'node:test';

import { trans } from '../../testing/jupyterlab';
import { serve } from '../../testing/server';
import { clockFault, siteClock } from './clock';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** What is said of a device whose clock is so many milliseconds ahead. */
const fault = (off: number) => clockFault(1e12, trans, 1e12 + off);

test('clocks that agree, or tell nothing, are no fault', () => {
  for (const off of [0, 5 * MINUTE, -5 * MINUTE, NaN]) {
    assert.equal(fault(off), null, String(off));
  }
});

test('how far off it is, and to which side', () => {
  assert.equal(fault(6 * MINUTE), 'The clock of this device is 6 minutes ahead of it.');
  assert.equal(fault(-90 * MINUTE), 'The clock of this device is 90 minutes behind it.');
  assert.equal(fault(5 * HOUR), 'The clock of this device is 5 hours ahead of it.');
  assert.equal(fault(-72 * HOUR), 'The clock of this device is 3 days behind it.');
});

test('the clock of the site is in the headers of its page', async t => {
  let date = 'Wed, 21 Oct 2015 07:28:00 GMT';
  const { url, requests, close } = await serve(() => ({ headers: { Date: date } }));
  t.mock.getter(window, 'location', () => new URL(url));
  assert.equal(await siteClock(), Date.UTC(2015, 9, 21, 7, 28));
  assert.equal(requests[0]!.method, 'HEAD');
  date = 'yesterday';
  assert.equal(await siteClock(), null);
  close();
  assert.equal(await siteClock(), null);
});
