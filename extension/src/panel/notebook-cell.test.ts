import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { CommandRegistry } from '@lumino/commands';

import { runInNewCell } from './notebook-cell';

class Cell {
  source = '';
  readonly model = { sharedModel: { setSource: (source: string) => (this.source = source) } };
}

let cells: Cell[];
let content: { activeCell: Cell | null };
let app: JupyterFrontEnd;
let currentWidget: unknown;
let ran: string[];

beforeEach(() => {
  cells = [new Cell(), new Cell()];
  content = { activeCell: cells[0]! };
  currentWidget = { content };
  ran = [];
  const commands = new CommandRegistry();
  const shell = {
    get currentWidget() {
      return currentWidget;
    }
  };
  app = { commands, shell } as unknown as JupyterFrontEnd;
});

/** JupyterLab's own commands for the notebook in front. */
function addNotebookCommands(run = Promise.resolve()): void {
  app.commands.addCommand('notebook:insert-cell-below', {
    execute: async () => {
      const below = new Cell();
      cells.splice(cells.indexOf(content.activeCell!) + 1, 0, below);
      content.activeCell = below;
    }
  });
  app.commands.addCommand('notebook:run-cell', {
    execute: () => {
      ran.push(content.activeCell!.source);
      return run;
    }
  });
}

test('a cell below the active one is run, and nobody waits for its end', async () => {
  addNotebookCommands(new Promise(() => {}));
  assert.ok(await runInNewCell(app, '%%torch -o w\n'));
  assert.deepEqual(
    cells.map(({ source }) => source),
    ['', '%%torch -o w\n', '']
  );
  assert.deepEqual(ran, ['%%torch -o w\n']);
});

test('without a notebook in front nothing is done', async () => {
  addNotebookCommands();
  for (const widget of [null, {}, { content: {} }, { content: { activeCell: null } }]) {
    currentWidget = widget;
    assert.ok(!(await runInNewCell(app, 'a = 1')));
  }
  assert.equal(cells.length, 2);
  assert.deepEqual(ran, []);
});

test('nor in an app without such commands', async () => {
  assert.ok(!(await runInNewCell(app, 'a = 1')));
  assert.equal(cells[0]!.source, '');
});
