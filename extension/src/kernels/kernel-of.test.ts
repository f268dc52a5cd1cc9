import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Widget } from '@lumino/widgets';

import { kernelOf } from './kernel-of';

test('the kernel of a notebook, and none of what has none', () => {
  const notebook = (session: object | null) =>
    Object.assign(new Widget(), { sessionContext: { session } });
  assert.equal(kernelOf(notebook({ kernel: { id: 'one' } })), 'one');
  for (const widget of [null, new Widget(), notebook(null), notebook({ kernel: null })]) {
    assert.equal(kernelOf(widget), null);
  }
});
