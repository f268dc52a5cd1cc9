import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';

import { makeContents, MemoryDrive } from '../../testing/drive';
import { trans } from '../../testing/jupyterlab';
import { FOLDER, serveFolder } from '../../testing/session-folder';
import { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import { addFiles } from './add-files';

const FILES = 'jupyterlite-torch:files';

let commands: CommandRegistry;
let known: KnownServer;
let shown: Widget[];
let app: JupyterFrontEnd;

beforeEach(() => {
  sessionStorage.clear();
  commands = new CommandRegistry();
  known = new KnownServer(sessionStorage, null);
  shown = [];
  const shell = {
    currentWidget: { sessionContext: { session: { kernel: { id: 'kernel-one' } } } },
    widgets: () => [].values(),
    add(widget: Widget) {
      shown.push(widget);
      Widget.attach(widget, document.body);
    },
    activateById() {}
  };
  const contents = makeContents(new MemoryDrive());
  app = { commands, shell, serviceManager: { contents } } as unknown as JupyterFrontEnd;
});

function add(palette: ICommandPalette | null): void {
  const lines = { sessionOf: (kernelId: string) => kernelId.replace('kernel', 'session') };
  addFiles(app, palette, known, lines as Lines, trans);
}

test('it is in the palette, where there is one', () => {
  const items: unknown[] = [];
  add({ addItem: (item: unknown) => items.push(item) } as unknown as ICommandPalette);
  assert.deepEqual(items, [{ command: FILES, category: '%%torch' }]);
  assert.equal(commands.label(FILES), 'Show the folder of the GPU session');
  assert.match(commands.caption(FILES), /start with %%torch run/);
});

test('the command shows the folder of the session in front', async () => {
  const { server, requests } = await serveFolder();
  known.set(server);
  add(null);
  assert.deepEqual([shown.length, requests.length], [0, 0]);
  await commands.execute(FILES);
  assert.match(shown[0]!.node.textContent, new RegExp(FOLDER));
  assert.equal(requests[0]!.headers['torch-session'], 'session-one');
  shown[0]!.dispose();
});
