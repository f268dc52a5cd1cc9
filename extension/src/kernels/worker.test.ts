import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { IKernel } from '@jupyterlite/services';

import { workerOf } from './worker';

test('the worker of a kernel', () => {
  const worker = new Worker('');
  assert.equal(workerOf({ id: 'one', _worker: worker } as unknown as IKernel), worker);
});

test('a kernel that keeps it elsewhere has none, and the console says so', t => {
  const errors = t.mock.method(console, 'error', () => {});
  for (const kernel of [{ id: 'one' }, { id: 'one', _worker: null }, { id: 'one', _worker: {} }]) {
    assert.equal(workerOf(kernel as unknown as IKernel), null);
  }
  assert.equal(errors.mock.callCount(), 3);
  assert.match(errors.mock.calls[0]!.arguments[0], /kernel one has no worker/);
});
