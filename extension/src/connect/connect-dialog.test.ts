import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dialog, eventually, press, trans } from '../../testing/jupyterlab';
import { serve } from '../../testing/server';
import { ConnectDialog, type IConnectOptions } from './connect-dialog';
import { Doctor, PROTOCOL } from './doctor';

function open(options: Partial<IConnectOptions> = {}) {
  const form = new ConnectDialog(new Doctor(trans), trans, {
    address: '',
    fixed: false,
    known: [],
    ...options
  });
  return form.launch();
}

async function fields(): Promise<HTMLInputElement[]> {
  return Array.from((await dialog()).querySelectorAll('input'));
}

test('it stays with what was typed until it has connected', async () => {
  const { url } = await serve(({ headers }) =>
    headers.authorization === 'token good'
      ? { body: { name: 'jupyterlite-torch', version: '1', protocol: PROTOCOL } }
      : { status: 401, body: { reason: 'token' } }
  );
  const result = open();
  const [address, credential, remember] = await fields();
  address!.value = url;
  credential!.value = 'bad';
  await press('Connect');
  const said = (await dialog()).querySelector('[role=alert]')!;
  assert.equal(said.textContent, 'Connecting…');
  await eventually(() => said.querySelector('.jp-Torch-fault'));
  assert.match(said.querySelector('pre')!.textContent, /^jupyter torch-proxy pair/);
  assert.equal(document.activeElement, credential);
  assert.equal(address!.value, url);

  credential!.value = ' good\n';
  remember!.checked = true;
  await press('Connect');
  const { button, value } = await result;
  assert.ok(button.accept);
  assert.deepEqual(value, { server: { url, token: 'good' }, remember: true });
  assert.equal(document.querySelector('.jp-Dialog'), null);
});

test('a fault of the address leads back to it', async () => {
  const result = open();
  await press('Connect');
  await eventually(() => document.querySelector('.jp-Torch-fault'));
  const [address] = await fields();
  assert.equal(document.activeElement, address);
  await press('Cancel');
  const { button, value } = await result;
  assert.deepEqual([button.accept, value], [false, null]);
});

test('an address that somebody asked for can not be changed', async () => {
  const result = open({ address: 'http://127.0.0.1:8889', fixed: true });
  const [address, credential] = await fields();
  assert.ok(address!.readOnly);
  assert.equal(address!.value, 'http://127.0.0.1:8889');
  assert.equal(document.activeElement, credential);
  await press('Cancel');
  await result;
});

test('known addresses are offered, and nothing is for the browser to keep', async () => {
  const result = open({ known: ['http://127.0.0.1:8889', 'https://gpu.example.org'] });
  const [address, credential] = await fields();
  const list = document.getElementById(address!.getAttribute('list')!)!;
  assert.deepEqual(
    Array.from(list.querySelectorAll('option'), option => option.value),
    ['http://127.0.0.1:8889', 'https://gpu.example.org']
  );
  assert.deepEqual([address!.autocomplete, credential!.autocomplete], ['off', 'off']);
  assert.equal(credential!.type, 'password');
  await press('Cancel');
  await result;
});
