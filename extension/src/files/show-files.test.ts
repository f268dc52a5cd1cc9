import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Widget } from '@lumino/widgets';

import { makeContents, MemoryDrive } from '../../testing/drive';
import { trans } from '../../testing/jupyterlab';
import { serveFolder } from '../../testing/session-folder';
import { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import { filesOptions, showFiles } from './show-files';

const NOTEBOOK = {
  sessionContext: { path: 'course/a.ipynb', session: { kernel: { id: 'kernel-one' } } }
};

let known: KnownServer;
let currentWidget: unknown;
let left: object[];
let right: Widget[];
let activated: string[];
let app: JupyterFrontEnd;

/** The sessions of two kernels. */
const lines = {
  sessionOf: (kernelId: string) => (kernelId === 'kernel-one' ? 'session-one' : null)
} as Lines;

beforeEach(() => {
  sessionStorage.clear();
  known = new KnownServer(sessionStorage, null);
  currentWidget = NOTEBOOK;
  left = [];
  right = [];
  activated = [];
  const shell = {
    get currentWidget() {
      return currentWidget;
    },
    widgets: () => left.values(),
    add(widget: Widget, area: string) {
      assert.equal(area, 'right');
      right.push(widget);
      Widget.attach(widget, document.body);
    },
    activateById: (id: string) => activated.push(id)
  };
  const contents = makeContents(new MemoryDrive());
  app = { shell, serviceManager: { contents } } as unknown as JupyterFrontEnd;
});

const options = () => filesOptions(app, known, lines, trans);

test('the session is that of the notebook in front', () => {
  const { session, server } = options();
  assert.equal(session(), 'session-one');
  const of = (kernel: unknown) => ({ sessionContext: { path: '', session: { kernel } } });
  for (const widget of [null, {}, of(null), of({ id: 'kernel-two' })]) {
    currentWidget = widget;
    assert.equal(session(), null);
  }
  assert.equal(server(), null);
  known.set({ url: 'http://127.0.0.1:8889', token: 'secret' });
  assert.equal(server()!.url, 'http://127.0.0.1:8889');
});

test('files come into the folder of the file browser, or of the notebook', () => {
  const { folder } = options();
  assert.equal(folder(), 'course');
  left = [{ id: 'running' }, { id: 'filebrowser', model: { path: 'data' } }];
  assert.equal(folder(), 'data');
  // The topmost folder is one as well.
  left = [{ id: 'filebrowser', model: { path: '' } }];
  assert.equal(folder(), '');
  left = [];
  currentWidget = null;
  assert.equal(folder(), '');
});

test('there is one in the sidebar, which is filled anew, until it is closed', async () => {
  const { server, files } = await serveFolder();
  known.set(server);
  await showFiles(app, options());
  assert.match(right[0]!.node.textContent, /Nothing is in it/);
  files.set('a.txt', Buffer.from('a'));
  await showFiles(app, options());
  assert.equal(right.length, 1);
  assert.match(right[0]!.node.textContent, /a\.txt/);
  assert.deepEqual(activated, [right[0]!.id, right[0]!.id]);
  right[0]!.dispose();
  await showFiles(app, options());
  assert.equal(right.length, 2);
  right[1]!.dispose();
});
