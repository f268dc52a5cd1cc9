import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { ICommandPalette } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import { Panel } from '@lumino/widgets';

import { dialog, eventually, Kernels, press, Sessions, trans } from '../testing/jupyterlab';
import { serve } from '../testing/server';
import { InputQuestions } from './cells/input';
import { Stops } from './cells/stop';
import { addCommands, CONNECT, PANEL } from './commands';
import { PROTOCOL } from './connect/doctor';
import { KnownServer } from './connect/known-server';
import { ServerQuestions } from './connect/server-questions';
import { KernelSessions } from './kernels/kernel-sessions';
import { Lines } from './kernels/lines';
import { SessionIds } from './kernels/session-id';

const DISCONNECT = 'jupyterlite-torch:disconnect';

let known: KnownServer;
let commands: CommandRegistry;
let items: string[];
let opened: number;

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
  known = new KnownServer(sessionStorage, localStorage);
  const lines = new Lines({
    kernels: new Kernels().client,
    sessions: new KernelSessions(new Sessions().manager, new SessionIds(sessionStorage, null)),
    server: known,
    defaultServer: null,
    questions: new ServerQuestions(async () => [], trans),
    inputs: async () => new InputQuestions(new Panel(), trans),
    stops: new Stops(trans),
    files: () => Promise.reject(new Error('nothing is moved here')),
    trans
  });
  commands = new CommandRegistry();
  items = [];
  opened = 0;
  const palette = { addItem: ({ command }: { command: string }) => items.push(command) };
  const open = async () => void opened++;
  addCommands(commands, palette as unknown as ICommandPalette, lines, open, trans);
});
afterEach(() => eventually(() => !document.querySelector('.jp-Dialog')));

async function proxy(): Promise<string> {
  const describe = { name: 'jupyterlite-torch', version: '1.2.3', protocol: PROTOCOL };
  return (await serve(() => ({ body: describe }))).url;
}

test('all are in the palette, with words', () => {
  assert.deepEqual(items, [CONNECT, PANEL, DISCONNECT]);
  for (const command of items) {
    assert.ok(commands.label(command));
  }
});

test('what needs a server is off without one', () => {
  assert.deepEqual(
    items.map(command => commands.isEnabled(command)),
    [true, true, false]
  );
  known.set({ url: 'http://127.0.0.1:8889', token: 'secret' });
  assert.deepEqual(
    items.map(command => commands.isEnabled(command)),
    [true, true, true]
  );
});

test('connecting, for this tab or for later visits too', async () => {
  const url = await proxy();
  for (const stay of [false, true]) {
    const done = commands.execute(CONNECT, { url });
    const [address, credential, remember] = Array.from((await dialog()).querySelectorAll('input'));
    assert.equal(address!.value, url);
    credential!.value = 'secret';
    remember!.checked = stay;
    await press('Connect');
    await done;
    assert.deepEqual(known.get(), { url, token: 'secret' });
    assert.equal(localStorage.length, stay ? 1 : 0);
  }
  await commands.execute(DISCONNECT);
  assert.equal(known.get(), null);
});

test('the panel is opened', async () => {
  await commands.execute(PANEL);
  assert.equal(opened, 1);
});
