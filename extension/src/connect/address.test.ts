import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hostOf, normalAddress, resourceUrl } from './address';

test('an address has one spelling', () => {
  for (const [text, address] of [
    [' http://127.0.0.1:8889/ ', 'http://127.0.0.1:8889'],
    ['HTTPS://GPU.Example.org:443/user/me//', 'https://gpu.example.org/user/me'],
    ['http://[::1]:8889/?token=secret#code', 'http://[::1]:8889']
  ]) {
    assert.equal(normalAddress(text), address);
  }
});

test('what is no address of a server is none', () => {
  const texts = [
    '',
    '127.0.0.1',
    'ftp://host',
    'javascript:alert(1)',
    'http://me:secret@host',
    'http://'
  ];
  for (const text of [...texts, null, undefined, 8889, {}]) {
    assert.equal(normalAddress(text), null, String(text));
  }
});

test('what is shown and asked of an address', () => {
  assert.equal(hostOf('https://gpu.example.org/user/me'), 'gpu.example.org');
  assert.equal(hostOf('http://127.0.0.1:8889'), '127.0.0.1:8889');
  assert.equal(resourceUrl('http://h/me', 'status'), 'http://h/me/kernel_proxy/api/v1/status');
});
