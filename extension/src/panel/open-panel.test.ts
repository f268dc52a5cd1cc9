import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Widget } from '@lumino/widgets';

import { trans } from '../../testing/jupyterlab';
import { LinesOfPage } from '../../testing/lines';
import { buttonOf } from '../../testing/panel';
import { PanelOpener } from './open-panel';

let page: LinesOfPage;
let added: Widget[];
let activated: string[];

beforeEach(() => {
  page = new LinesOfPage();
  added = [];
  activated = [];
});
afterEach(async () => {
  added.forEach(panel => panel.dispose());
  await page.close();
});

/** A shell that gives widgets a place; with a sidebar or without one. */
function opener({ sidebar }: { sidebar: boolean }): PanelOpener {
  const shell = {
    currentWidget: null,
    add(widget: Widget, area: string) {
      assert.equal(area, 'right');
      added.push(widget);
      Widget.attach(widget, document.body);
    },
    activateById: (id: string) => activated.push(id),
    ...(sidebar ? { expandRight() {} } : {})
  };
  const app = { shell } as unknown as JupyterFrontEnd;
  return new PanelOpener(app, page.known, page.lines, trans);
}

const floating = () =>
  Array.from(document.querySelectorAll<HTMLElement>('body > .jp-Torch-panel.jp-mod-floating'));

test('there is one in the sidebar, which comes to the front', async () => {
  const panel = opener({ sidebar: true });
  await Promise.all([panel.open(), panel.open()]);
  await panel.open();
  assert.equal(added.length, 1);
  const { id } = added[0]!;
  assert.ok(id);
  assert.deepEqual(activated, [id, id, id]);
  assert.deepEqual(floating(), []);
});

test('without a sidebar it lies over the page, and can be opened again', async () => {
  const panel = opener({ sidebar: false });
  await Promise.all([panel.open(), panel.open()]);
  await panel.open();
  const [first, ...others] = floating();
  assert.deepEqual(others, []);
  buttonOf({ node: first! }, 'Close').click();
  assert.deepEqual(floating(), []);
  await panel.open();
  const [again] = floating();
  assert.ok(again && again !== first);
  buttonOf({ node: again }, 'Close').click();
  assert.deepEqual([added, activated], [[], []]);
});
