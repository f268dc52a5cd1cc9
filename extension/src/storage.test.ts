import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { PageConfig } from '@jupyterlab/coreutils';

import { lastingStorage, tabStorage } from './storage';

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
});
afterEach(() => PageConfig.setOption('baseUrl', '/'));

test('keys are of this package and this site', () => {
  PageConfig.setOption('baseUrl', '../');
  const storage = tabStorage();
  storage.setItem('key', 'value');
  assert.equal(sessionStorage.getItem('jupyterlite-torch:/site/:key'), 'value');
  assert.equal(sessionStorage.length, 1);
  PageConfig.setOption('baseUrl', '/other/');
  assert.equal(tabStorage().getItem('key'), null);
  storage.removeItem('key');
  assert.equal(sessionStorage.length, 0);
});

test('the lasting one is for all tabs', () => {
  lastingStorage()!.setItem('key', 'value');
  assert.equal(tabStorage().getItem('key'), null);
  assert.equal(lastingStorage()!.getItem('key'), 'value');
});

test('where the browser forbids it, the tab keeps it for the life of the page', t => {
  const forbid = () => {
    throw new DOMException('Access is denied for this document.', 'SecurityError');
  };
  t.mock.getter(window, 'sessionStorage', forbid);
  t.mock.getter(window, 'localStorage', forbid);
  assert.equal(lastingStorage(), null);
  const storage = tabStorage();
  assert.equal(storage.getItem('key'), null);
  storage.setItem('key', 'value');
  assert.equal(storage.getItem('key'), 'value');
  storage.removeItem('key');
  assert.equal(storage.getItem('key'), null);
});

test('so it does where the first write fails', t => {
  const full = {
    setItem() {
      throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
    }
  };
  t.mock.getter(window, 'localStorage', () => full);
  assert.equal(lastingStorage(), null);
});
