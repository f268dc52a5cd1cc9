import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { KnownServer, readServer } from './known-server';

const SERVER = { url: 'http://127.0.0.1:8889', token: 'secret' };
const OTHER = { url: 'https://gpu.example.org', token: 'other' };

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
});

test('a server is known to its tab, and beyond if it is remembered', () => {
  const known = new KnownServer(sessionStorage, localStorage);
  assert.equal(known.get(), null);
  known.set(SERVER);
  assert.deepEqual(known.get(), SERVER);
  assert.equal(localStorage.length, 0);
  known.remember(SERVER);
  sessionStorage.clear();
  assert.deepEqual(known.get(), SERVER);
  // The tab's own comes first.
  known.set(OTHER);
  assert.deepEqual(known.get(), OTHER);
});

test('forgetting forgets it everywhere', () => {
  const known = new KnownServer(sessionStorage, localStorage);
  known.set(SERVER);
  known.remember(SERVER);
  known.forget();
  assert.equal(known.get(), null);
  assert.equal(sessionStorage.length + localStorage.length, 0);
});

test('those who listen are told when it is another one', () => {
  const known = new KnownServer(sessionStorage, null);
  const seen: (string | null)[] = [];
  known.changed.connect(() => seen.push(known.get()?.url ?? null));
  known.set(SERVER);
  known.remember(SERVER);
  known.forget();
  assert.deepEqual(seen, [SERVER.url, null]);
});

test('what others wrote into the storage is no server', () => {
  assert.deepEqual(readServer(JSON.stringify({ ...SERVER, more: 1 })), SERVER);
  const values = [{ url: 'javascript:alert(1)', token: 'x' }, { url: SERVER.url }, [], 1, null];
  for (const text of [null, '', '{', ...values.map(value => JSON.stringify(value))]) {
    assert.equal(readServer(text), null, String(text));
  }
});
