import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dialog, eventually, press, trans } from '../../testing/jupyterlab';
import { serve } from '../../testing/server';
import { PROTOCOL } from './doctor';
import { pairByLink } from './pairing';

const CODE = 'ABCD-2345';

test('who agrees is connected', async () => {
  const { url } = await serve(({ path }) => ({
    body: path.endsWith('/pair')
      ? { token: 'fresh' }
      : { name: 'jupyterlite-torch', version: '1', protocol: PROTOCOL }
  }));
  const paired = pairByLink({ url, code: CODE }, trans);
  const shown = await dialog();
  assert.match(
    shown.textContent,
    new RegExp(`Connect this page \\(${location.origin}\\) to ${url}`)
  );
  // Anybody can make a link: Enter alone says no.
  assert.equal(document.activeElement?.textContent, 'Cancel');
  await press('Connect');
  assert.deepEqual(await paired, { url, token: 'fresh' });
});

test('nobody is asked anything before the person agrees', async () => {
  const { url, requests } = await serve(() => ({}));
  const paired = pairByLink({ url, code: CODE }, trans);
  await press('Cancel');
  assert.equal(await paired, null);
  assert.deepEqual(requests, []);
});

test('a link that fails says why', async () => {
  const { url } = await serve(() => ({ status: 401, body: { reason: 'token' } }));
  const paired = pairByLink({ url, code: CODE }, trans);
  await press('Connect');
  await eventually(() => /ABCD-2345 is wrong, was used/.test(document.body.textContent));
  await press('Close');
  assert.equal(await paired, null);
});

test('a link without an address says so', async () => {
  const paired = pairByLink({ url: null, code: CODE }, trans);
  assert.match((await dialog()).textContent, /It names no address of a server/);
  await press('Close');
  assert.equal(await paired, null);
});
