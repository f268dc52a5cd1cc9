import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { Panel, type Widget } from '@lumino/widgets';

import { dialog, eventually, Kernels, press, Sessions } from '../testing/jupyterlab';

const DEFAULT = 'https://gpu.example.org/';

history.replaceState(null, '', '#torch=http%3A%2F%2F127.0.0.1%3A8889&code=ABCD-2345');
PageConfig.setOption(
  'litePluginSettings',
  JSON.stringify({ 'jupyterlite-torch:plugin': { server: DEFAULT } })
);
// What it does as it loads is done now.
const { default: plugin } = await import('./index');

const sessions = new Sessions();
const contents = { fileChanged: new Signal<object, object>({}) };

/** An app as far as the plugin looks at it. */
function makeApp(): JupyterFrontEnd {
  const toolbar: Widget[] = [];
  return {
    commands: new CommandRegistry(),
    shell: new Panel(),
    restored: Promise.resolve(),
    docRegistry: { addWidgetExtension: () => toolbar },
    contextMenu: { addItem: () => null },
    serviceManager: { sessions: sessions.manager, contents, kernels: { connectTo: () => null } }
  } as unknown as JupyterFrontEnd;
}

test('kernels load the wheel before any plugin is activated', () => {
  assert.match(PageConfig.getOption('litePluginSettings'), /jupyterlite_torch_magic.*\.whl/);
});

test('the code of a pairing link has left the address bar', () => {
  assert.equal(location.hash, '');
});

test('an ordinary JupyterLab is left as it is', () => {
  const app = makeApp();
  plugin.activate(app, null, null, null, null, null);
  assert.deepEqual(app.commands.listCommands(), []);
});

test('in JupyterLite kernels are connected, and the link is followed', async () => {
  const kernels = new Kernels();
  const app = makeApp();
  plugin.activate(app, kernels.client, null, null, null, null);
  assert.ok(app.commands.hasCommand('jupyterlite-torch:connect'));
  assert.match((await dialog()).textContent, /to http:\/\/127\.0\.0\.1:8889\?/);
  await press('Cancel');

  sessions.start('one', 'a.ipynb');
  const worker = kernels.add('one');
  const { session, ...rest } = await eventually(() => worker.greeting);
  const server = { server: null, default: 'https://gpu.example.org' };
  assert.deepEqual(rest, { type: 'jupyterlite-torch', ...server });

  // A notebook that is deleted takes its session with it.
  const key = 'jupyterlite-torch:/:session:a.ipynb';
  assert.equal(sessionStorage.getItem(key), session);
  contents.fileChanged.emit({ type: 'delete', oldValue: { path: 'a.ipynb' } });
  await eventually(() => sessionStorage.getItem(key) === null);
  kernels.remove('one');
});
