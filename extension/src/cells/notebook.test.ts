import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Panel, Widget } from '@lumino/widgets';

import { Cell, Notebook } from '../../testing/cells';
import { consoleOf, mainWidgets, notebookOf } from './notebook';

const notebook = Object.assign(new Panel(), { content: new Notebook(new Cell('')) });
const console = Object.assign(new Panel(), {
  console: { cells: [], inject: async () => {} }
});
/** A file in an editor has a content as well, and a console without a session no more than this. */
const others = [
  null,
  new Widget(),
  Object.assign(new Widget(), { content: new Widget() }),
  Object.assign(new Widget(), { content: undefined, console: {} })
];

test('a notebook is known by its cells', () => {
  assert.equal(notebookOf(notebook), notebook.content);
  for (const other of [console, ...others]) {
    assert.equal(notebookOf(other), null);
  }
});

test('an empty notebook is one as well', () => {
  const empty = new Notebook();
  empty.activeCellIndex = -1;
  assert.equal(notebookOf(empty.panel), empty);
});

test('a console is known by what runs code in it', () => {
  assert.equal(consoleOf(console), console.console);
  for (const other of [notebook, ...others]) {
    assert.equal(consoleOf(other), null);
  }
});

test('the widgets of the main area, that in front first', () => {
  const areas: Record<string, Widget[]> = { main: [notebook, console], left: [new Widget()] };
  const shell = {
    currentWidget: console as Widget | null,
    widgets: (area: string) => areas[area]!.values()
  };
  const all = () => [...mainWidgets({ shell } as unknown as JupyterFrontEnd)];
  assert.deepEqual(all(), [console, notebook, console]);
  shell.currentWidget = null;
  assert.deepEqual(all(), [notebook, console]);
});
