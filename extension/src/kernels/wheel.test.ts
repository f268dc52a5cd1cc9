import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PageConfig } from '@jupyterlab/coreutils';

import { loadWheelInKernels, withWheel } from './wheel';

const KERNEL = '@jupyterlite/pyodide-kernel-extension:kernel';
const WHEEL = 'http://127.0.0.1:8000/magic-1.0-py3-none-any.whl';

function packages(settings: string): unknown {
  return JSON.parse(settings)[KERNEL].loadPyodideOptions.packages;
}

test('a site that says nothing loads the wheel', () => {
  assert.deepEqual(packages(withWheel('', WHEEL)), [WHEEL]);
  assert.deepEqual(packages(withWheel('{}', WHEEL)), [WHEEL]);
});

test('what the site has set stays', () => {
  const settings = {
    other: { a: 1 },
    [KERNEL]: {
      pyodideUrl: 'x',
      loadPyodideOptions: { packages: ['numpy'], checkIntegrity: false }
    }
  };
  const read = JSON.parse(withWheel(JSON.stringify(settings), WHEEL));
  assert.deepEqual(read.other, { a: 1 });
  assert.deepEqual(read[KERNEL], {
    pyodideUrl: 'x',
    loadPyodideOptions: { packages: ['numpy', WHEEL], checkIntegrity: false }
  });
});

test('a site that has it in its lock gets no second copy', () => {
  const settings = { [KERNEL]: { loadPyodideOptions: { packages: ['jupyterlite-torch-magic'] } } };
  assert.deepEqual(packages(withWheel(JSON.stringify(settings), WHEEL)), [
    'jupyterlite-torch-magic'
  ]);
});

test('it is once in the page, however often it is asked for', () => {
  loadWheelInKernels(WHEEL);
  loadWheelInKernels(WHEEL);
  assert.deepEqual(packages(PageConfig.getOption('litePluginSettings')), [WHEEL]);
});
