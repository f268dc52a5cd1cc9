import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { SettingRegistry } from '@jupyterlab/settingregistry';

import schema from '../../schema/plugin.json';
import { ServerList } from './server-list';

const PLUGIN = 'jupyterlite-torch:plugin';
const ONE = 'http://127.0.0.1:8889';
const TWO = 'https://gpu.example.org';

let raw: string;
let loaded: number;

beforeEach(() => {
  raw = '{}';
  loaded = 0;
});

/** The list over JupyterLab's own registry, which keeps the settings in `raw`. */
function makeList(): ServerList {
  const connector = {
    async fetch(id: string) {
      loaded++;
      return { id, raw, schema, data: { composite: {}, user: {} }, version: '1' };
    },
    async save(_: string, text: string) {
      raw = text;
    }
  };
  const registry = new SettingRegistry({ connector: connector as never });
  return new ServerList(registry, PLUGIN);
}

test('the one that was used last comes first, and each is there once', async () => {
  const list = makeList();
  assert.deepEqual(await list.addresses(), []);
  for (const url of [ONE, TWO, ONE]) {
    await list.add(url);
  }
  assert.deepEqual(await list.addresses(), [ONE, TWO]);
  assert.deepEqual(await makeList().addresses(), [ONE, TWO]);
});

test('what somebody wrote into the settings is taken if it is an address', async () => {
  raw = JSON.stringify({ servers: ['javascript:alert(1)', `${ONE}/?token=secret`] });
  assert.deepEqual(await makeList().addresses(), [ONE]);
});

test('the oldest are forgotten', async () => {
  const list = makeList();
  for (let port = 1; port <= 25; port++) {
    await list.add(`http://127.0.0.1:${port}`);
  }
  const addresses = await list.addresses();
  assert.deepEqual(
    [addresses.length, addresses[0], addresses.at(-1)],
    [20, 'http://127.0.0.1:25', 'http://127.0.0.1:6']
  );
});

test('the settings are asked for once, and not before somebody wants to know', async () => {
  const list = makeList();
  assert.equal(loaded, 0);
  await list.addresses();
  await list.addresses();
  assert.equal(loaded, 1);
});

test('an app without settings has no list', async () => {
  const list = new ServerList(null, PLUGIN);
  await list.add(ONE);
  assert.deepEqual(await list.addresses(), []);
});
