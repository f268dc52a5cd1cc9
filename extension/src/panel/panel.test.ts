import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import { eventually, trans } from '../../testing/jupyterlab';
import { LinesOfPage } from '../../testing/lines';
import { buttonOf } from '../../testing/panel';
import { serve } from '../../testing/server';
import { TorchPanel } from './panel';

const server = await serve(({ path }) => {
  switch (path.split('/').at(-1)) {
    case 'status':
      return { body: { gpus: [], session: null } };
    case 'sessions':
      return { body: { sessions: [] } };
    default:
      return { status: 404, body: { message: 'There is nothing here.' } };
  }
});

let page: LinesOfPage;
let shell: { currentWidget: unknown; currentChanged: Signal<object, void> };
let panel: TorchPanel;

beforeEach(() => {
  server.requests.length = 0;
  page = new LinesOfPage();
  shell = { currentWidget: null, currentChanged: new Signal({}) };
  const app = { shell } as unknown as JupyterFrontEnd;
  panel = new TorchPanel(app, page.known, page.lines, trans);
});
afterEach(async () => {
  panel.dispose();
  await page.close();
});

const connect = () => page.known.set({ url: server.url, token: 'secret' });
const statuses = () => server.requests.filter(({ path }) => path.endsWith('/status'));
const is = (state: string) => eventually(() => panel.status.state === state);
const gpus = () => panel.node.querySelector('.jp-Torch-gpus')!.textContent;

/** After what was asked before has arrived. */
const arrived = () => panel.control.sessions();

/** A notebook with a kernel, in front. */
async function bringNotebook(id: string): Promise<string> {
  const { session } = await page.start(id);
  shell.currentWidget = { sessionContext: { session: { kernel: { id } } } };
  shell.currentChanged.emit();
  return session;
}

test('it has its sections, and says what it is', () => {
  assert.deepEqual(
    Array.from(panel.node.querySelectorAll('h3'), ({ textContent }) => textContent),
    ['Server and sessions', 'GPUs', 'Variables', 'Cells', 'Transfers']
  );
  assert.equal(panel.node.getAttribute('role'), 'region');
  assert.equal(panel.node.getAttribute('aria-label'), panel.title.caption);
});

test('it asks the server while it can be seen', async () => {
  connect();
  assert.equal(panel.status.state, 'connecting');
  await arrived();
  assert.equal(statuses().length, 0);
  Widget.attach(panel, document.body);
  await is('on');
  assert.match(gpus(), /This server has no GPU/);
  panel.hide();
  const before = statuses().length;
  panel.ask();
  page.known.set({ url: server.url, token: 'another' });
  await arrived();
  assert.equal(statuses().length, before);
  panel.show();
  await is('on');
  assert.equal(statuses().length, before + 1);
  page.known.forget();
  assert.equal(panel.status.state, 'off');
  assert.equal(gpus(), 'There is no server to ask.');
});

test('it asks of the session of the notebook in front, at once when something happens', async t => {
  // Not because it asks each few seconds.
  t.mock.timers.enable({ apis: ['setTimeout'] });
  connect();
  Widget.attach(panel, document.body);
  await is('on');
  assert.deepEqual([panel.kernel, panel.session], [null, null]);
  assert.equal(statuses().at(-1)!.headers['torch-session'], '');
  const session = await bringNotebook('one');
  assert.deepEqual([panel.kernel, panel.session], ['one', session]);
  await eventually(() => statuses().at(-1)!.headers['torch-session'] === session);
  const { worker } = await page.start('two');
  const before = statuses().length;
  const cell = { type: 'cell', id: 'a', message: null, background: true, receipt: null };
  worker.say({ ...cell, state: 'running' });
  await eventually(() => statuses().length === before + 1);
});

test('a section that is folded away is filled when it is opened', async () => {
  Widget.attach(panel, document.body);
  const before = gpus();
  const fold = buttonOf(panel, 'GPUs');
  fold.click();
  connect();
  await is('on');
  assert.equal(gpus(), before);
  fold.click();
  assert.match(gpus(), /This server has no GPU/);
});

test('it lies over a page until it is closed', async () => {
  connect();
  let closed = 0;
  panel.float(() => closed++);
  await is('on');
  const close = buttonOf(panel, 'Close');
  assert.equal(document.activeElement, close);
  assert.ok(panel.isAttached);
  const before = statuses().length;
  close.click();
  assert.deepEqual([closed, panel.isDisposed, panel.isAttached], [1, true, false]);
  shell.currentChanged.emit();
  await arrived();
  assert.equal(statuses().length, before);
});
