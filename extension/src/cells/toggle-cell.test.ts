import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { CommandRegistry } from '@lumino/commands';
import type { Widget } from '@lumino/widgets';

import { Cell, Notebook } from '../../testing/cells';
import { runThere, toggle } from './toggle-cell';

const at = (line: number, column: number) => ({ line, column });

test('the selected cells become what the active one is not', () => {
  const notebook = new Notebook(
    new Cell('a = 1'),
    new Cell('%%torch -o b\nb = 1'),
    new Cell('c', { type: 'markdown' }),
    new Cell('d = 1', { readOnly: true }),
    new Cell('e = 1')
  );
  notebook.widgets.slice(1, 4).forEach(cell => notebook.selected.add(cell));
  toggle(notebook);
  assert.deepEqual(notebook.sources, [
    '%%torch\na = 1',
    '%%torch -o b\nb = 1',
    'c',
    'd = 1',
    'e = 1'
  ]);
  toggle(notebook);
  assert.deepEqual(notebook.sources, ['a = 1', 'b = 1', 'c', 'd = 1', 'e = 1']);
  // An active cell that can not be turned says nothing of the others.
  notebook.activeCellIndex = 2;
  toggle(notebook);
  assert.deepEqual(notebook.sources, ['a = 1', 'b = 1', 'c', 'd = 1', 'e = 1']);
});

test('a step of Undo takes it back in all cells, and not what was typed before', () => {
  const notebook = new Notebook(new Cell(''), new Cell('b = 1'));
  const [first, second] = notebook.widgets;
  notebook.selected.add(second!);
  first!.updateSource(0, 0, 'a = 1');
  toggle(notebook);
  first!.updateSource(8, 8, '# ');
  assert.deepEqual(notebook.sources, ['%%torch\n# a = 1', '%%torch\nb = 1']);
  notebook.undoManager.undo();
  assert.deepEqual(notebook.sources, ['%%torch\na = 1', '%%torch\nb = 1']);
  notebook.undoManager.undo();
  assert.deepEqual(notebook.sources, ['a = 1', 'b = 1']);
});

test('the cursor stays with its text', () => {
  const cell = new Cell('# note\na = 1');
  cell.selection = { start: at(0, 2), end: at(1, 3) };
  const notebook = new Notebook(cell);
  toggle(notebook);
  assert.deepEqual(cell.selection, { start: at(1, 2), end: at(2, 3) });

  // The line goes from between two others.
  cell.updateSource(0, cell.getSource().length, '# note\n%%torch -o a\na = 1');
  for (const [before, after] of [
    [at(0, 4), at(0, 4)],
    [at(1, 9), at(1, 0)],
    [at(2, 5), at(1, 5)]
  ] as const) {
    cell.selection = { start: before, end: before };
    toggle(notebook);
    assert.equal(cell.getSource(), '# note\na = 1');
    assert.deepEqual(cell.selection, { start: after, end: after });
    notebook.undoManager.undo();
  }
  // Out of view it has no editor.
  cell.editor = null;
  toggle(notebook);
  assert.equal(cell.getSource(), '# note\na = 1');
});

/** An app that shows these, the first of them in front; in which cells of the first one it ran. */
function show(first: Notebook, ...others: Widget[]): { app: JupyterFrontEnd; ran: unknown[] } {
  const ran: unknown[] = [];
  const commands = new CommandRegistry();
  commands.addCommand('notebook:run-cell', { execute: () => ran.push(first.activeCell) });
  const all = [first.panel, ...others];
  const shell = { currentWidget: first.panel, widgets: () => all.values() };
  return { app: { commands, shell } as unknown as JupyterFrontEnd, ran };
}

test('a cell that has run here runs there, alone', async () => {
  const notebook = new Notebook(
    new Cell('a = 1'),
    new Cell('b = 1'),
    new Cell('c', { readOnly: true })
  );
  const [first, second, third] = notebook.widgets;
  notebook.selected.add(first!);
  const { app, ran } = show(notebook);
  await runThere(app, second!.model.id);
  assert.deepEqual(notebook.sources, ['a = 1', '%%torch\nb = 1', 'c']);
  assert.deepEqual(ran, [second]);
  assert.equal(notebook.selected.size, 0);
  // Again it is run, and has the line once.
  await runThere(app, second!.model.id);
  assert.deepEqual(notebook.sources, ['a = 1', '%%torch\nb = 1', 'c']);
  assert.equal(ran.length, 2);
  await runThere(app, third!.model.id);
  await runThere(app, 'no-cell');
  assert.equal(ran.length, 2);
});

test('in a console it is a new cell', async () => {
  const injected: string[] = [];
  const console = {
    cells: [new Cell('a = 1'), new Cell('b = 1')],
    inject: async (code: string) => void injected.push(code)
  };
  const { app, ran } = show(new Notebook(new Cell('c')), { console } as unknown as Widget);
  await runThere(app, console.cells[1]!.model.id);
  assert.deepEqual(injected, ['%%torch\nb = 1']);
  assert.deepEqual(
    console.cells.map(cell => cell.getSource()),
    ['a = 1', 'b = 1']
  );
  assert.deepEqual(ran, []);
});
