import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IStatusBar } from '@jupyterlab/statusbar';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { Panel, type Widget } from '@lumino/widgets';

import { eventually, trans } from '../../testing/jupyterlab';
import { serve } from '../../testing/server';
import { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import { addStatus } from './add-status';

let known: KnownServer;
let executed: string[];
let added: Widget[];
let app: JupyterFrontEnd;
let toolbar: { createNew(panel: Widget): Widget } | null;

/** The sessions of two kernels. */
class Cells {
  readonly cellChanged = new Signal<this, void>(this);

  sessionOf(kernelId: string): string | null {
    return kernelId === 'kernel-one' ? 'session-one' : null;
  }
}
const cells = new Cells();

beforeEach(() => {
  sessionStorage.clear();
  known = new KnownServer(sessionStorage, null);
  executed = [];
  added = [];
  toolbar = null;
  const commands = new CommandRegistry();
  for (const command of ['jupyterlite-torch:connect', 'jupyterlite-torch:panel']) {
    commands.addCommand(command, { execute: () => void executed.push(command) });
  }
  const currentWidget = { sessionContext: { session: { kernel: { id: 'kernel-one' } } } };
  app = {
    commands,
    shell: { currentWidget },
    docRegistry: { addWidgetExtension: (_: string, extension: never) => (toolbar = extension) }
  } as unknown as JupyterFrontEnd;
});
afterEach(() => added.forEach(widget => widget.dispose()));

function add(inStatusBar: boolean): void {
  const registerStatusItem = (_: string, { item }: { item: Widget }) => added.push(item);
  const statusBar = inStatusBar ? ({ registerStatusItem } as unknown as IStatusBar) : null;
  addStatus(app, statusBar, known, cells as unknown as Lines, trans);
}

test('it stands in the status bar where there is one', () => {
  add(true);
  assert.equal(added.length, 1);
  assert.equal(toolbar, null);
});

test('it stands in the toolbar of each notebook where there is none', () => {
  add(false);
  assert.equal(added.length, 0);
  const inserted: [string, Widget][] = [];
  const insertBefore = (at: string, _: string, widget: Widget) => inserted.push([at, widget]);
  added.push(toolbar!.createNew(Object.assign(new Panel(), { toolbar: { insertBefore } })));
  assert.deepEqual(inserted, [['spacer', added[0]]]);
});

test('it connects where there is no server, and shows it where there is one', async () => {
  const { url } = await serve(() => ({ body: { gpus: [], session: null } }));
  add(true);
  added[0]!.node.click();
  known.set({ url, token: 'secret' });
  added[0]!.node.click();
  assert.deepEqual(executed, ['jupyterlite-torch:connect', 'jupyterlite-torch:panel']);
});

test('the session in front is looked at, anew when a cell begins or ends', async () => {
  const { url, requests } = await serve(() => ({ body: { gpus: [], session: null } }));
  known.set({ url, token: 'secret' });
  add(true);
  await eventually(() => requests.length === 1);
  cells.cellChanged.emit();
  await eventually(() => requests.length === 2);
  Object.assign(app.shell, { currentWidget: null });
  cells.cellChanged.emit();
  await eventually(() => requests.length === 3);
  assert.deepEqual(
    requests.map(({ headers }) => headers['torch-session']),
    ['session-one', 'session-one', '']
  );
});
