import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { CommandRegistry } from '@lumino/commands';

import { Cell, Notebook } from '../../testing/cells';
import { trans } from '../../testing/jupyterlab';
import { KernelManager } from '../../testing/kernel-manager';
import { LinesOfPage } from '../../testing/lines';
import { serve } from '../../testing/server';
import { addWriting } from './add-writing';

test('a cell is turned into one of %%torch, and is completed there', async () => {
  const matches = ['there'];
  const body = { status: 'ok', matches, metadata: {}, cursor_start: 0, cursor_end: 1 };
  const { url, requests } = await serve(() => ({ body }));
  const page = new LinesOfPage();
  const kernels = new KernelManager();
  const commands = new CommandRegistry();
  const notebook = new Notebook(new Cell('a'));
  const app = {
    commands,
    serviceManager: { kernels: kernels.manager },
    shell: { currentWidget: notebook.panel },
    contextMenu: { addItem() {} }
  } as unknown as JupyterFrontEnd;
  // An app may have no palette.
  addWriting(app, null, page.known, page.lines, trans);
  await page.start('one');
  page.known.set({ url, token: 'secret' });
  const kernel = kernels.connect('one');
  const complete = async () => {
    const [code = ''] = notebook.sources;
    return (await kernel.requestComplete({ code, cursor_pos: code.length })).content;
  };
  assert.deepEqual(await complete(), { status: 'ok', matches: ['here'] });
  assert.equal(requests.length, 0);
  await commands.execute('jupyterlite-torch:toggle-cell');
  assert.deepEqual(await complete(), { ...body, cursor_start: 8, cursor_end: 9 });
  await page.close();
});
