import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PluginRegistry } from '@lumino/coreutils';

import { IKernelClient } from './no-jupyterlite';

test('who asks for it as an option is activated, and gets null', async () => {
  const registry = new PluginRegistry<object>();
  const given: unknown[] = [];
  registry.registerPlugin({
    id: 'asks',
    optional: [IKernelClient],
    activate: (_: object, kernels: unknown) => given.push(kernels)
  });
  await registry.activatePlugin('asks');
  assert.deepEqual(given, [null]);
});
