import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PairingLinks, readPairingLink, type IPairingLink } from './pairing-link';

const LINK = '#torch=http%3A%2F%2F127.0.0.1%3A8889%2F&code=ABCD-2345';
const READ = { url: 'http://127.0.0.1:8889', code: 'ABCD-2345' };

test('a link is read from the fragment', () => {
  assert.deepEqual(readPairingLink(LINK), READ);
  assert.deepEqual(readPairingLink(LINK.slice(1)), READ);
  assert.deepEqual(readPairingLink('#torch=javascript:alert(1)&code=ABCD-2345'), {
    url: null,
    code: 'ABCD-2345'
  });
});

test('other fragments are left alone', () => {
  for (const fragment of ['', '#', '#Heading', '#torch=http://h', '#code=ABCD-2345']) {
    assert.equal(readPairingLink(fragment), null, fragment);
  }
});

test('links leave the address bar, and each is handed over once', () => {
  history.replaceState({ kept: true }, '', `?path=a.ipynb${LINK}`);
  const links = new PairingLinks();
  assert.equal(location.hash, '');
  assert.equal(location.search, '?path=a.ipynb');
  assert.deepEqual(history.state, { kept: true });

  const followed: IPairingLink[] = [];
  links.follow(link => followed.push(link));
  assert.deepEqual(followed, [READ]);

  const routed: string[] = [];
  window.addEventListener('popstate', () => routed.push(location.hash));
  for (const fragment of [LINK, '#Heading']) {
    history.replaceState(null, '', fragment);
    window.dispatchEvent(new PopStateEvent('popstate'));
  }
  assert.deepEqual(followed, [READ, READ]);
  assert.deepEqual(routed, ['#Heading']);
});
