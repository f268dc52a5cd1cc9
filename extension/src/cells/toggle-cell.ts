/** Turns cells into `%%torch` cells and back. */

import type { JupyterFrontEnd } from '@jupyterlab/application';

import {
  consoleOf,
  mainWidgets,
  notebookOf,
  type ICell,
  type INotebook,
  type IPosition
} from './notebook';
import { canTurn, isTorch, magicLineOf } from './torch-cell';

const MAGIC_LINE = '%%torch\n';

/** Turn the selected cells into what the active one is not. */
export function toggle(notebook: INotebook): void {
  if (canTurn(notebook.activeCell)) {
    const selected = notebook.widgets.filter(
      cell => canTurn(cell) && notebook.isSelectedOrActive(cell)
    );
    turn(selected, !isTorch(notebook.activeCell));
  }
}

/** Make all of them `%%torch` cells, or none of them, in one step for Undo. */
function turn(cells: readonly ICell[], into: boolean): void {
  // Yjs (13.6) makes one step of what happens within half a second, such as of what was typed before.
  const managers = new Set(cells.map(cell => cell.model.sharedModel.undoManager));
  managers.forEach(manager => manager?.stopCapturing());
  cells.filter(cell => isTorch(cell) !== into).forEach(turnOne);
  managers.forEach(manager => manager?.stopCapturing());
}

function turnOne({ model, editor }: ICell): void {
  const { sharedModel } = model;
  const source = sharedModel.getSource();
  const found = magicLineOf(source);
  const { start, end } = found ?? { start: 0, end: 0 };
  const row = source.slice(0, start).split('\n').length - 1;
  const moved = ({ line, column }: IPosition): IPosition => {
    if (!found) {
      return { line: line + 1, column };
    }
    return line === row ? { line, column: 0 } : { line: line > row ? line - 1 : line, column };
  };
  const selection = editor?.getSelection();
  sharedModel.updateSource(start, end, found ? '' : MAGIC_LINE);
  if (editor && selection) {
    editor.setSelection({ start: moved(selection.start), end: moved(selection.end) });
  }
}

/** Run a local cell on the server. A console, whose cells stay as they were, gets a new one. */
export async function runThere(app: JupyterFrontEnd, id: string): Promise<void> {
  for (const widget of mainWidgets(app)) {
    const notebook = notebookOf(widget);
    const index = notebook ? notebook.widgets.findIndex(({ model }) => model.id === id) : -1;
    if (notebook && index >= 0) {
      return runInNotebook(app, notebook, index);
    }
    const console = consoleOf(widget);
    for (const { model } of console?.cells ?? []) {
      if (model.id === id) {
        return console!.inject(MAGIC_LINE + model.sharedModel.getSource());
      }
    }
  }
}

async function runInNotebook(
  app: JupyterFrontEnd,
  notebook: INotebook,
  index: number
): Promise<void> {
  const cell = notebook.widgets[index]!;
  if (canTurn(cell)) {
    turn([cell], true);
    notebook.deselectAll();
    notebook.activeCellIndex = index;
    await app.commands.execute('notebook:run-cell');
  }
}
