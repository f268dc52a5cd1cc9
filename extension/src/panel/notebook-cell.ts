/** Runs code in the notebook in front, as a cell that stays in it. */

import type { JupyterFrontEnd } from '@jupyterlab/application';

/** A notebook's panel, of a package that this extension needs for nothing else. */
interface INotebookPanel {
  content?: {
    activeCell?: { model: { sharedModel: { setSource(source: string): void } } } | null;
  };
}

/** Insert a cell below the active one and run it; false when there is no notebook in front. */
export async function runInNewCell(app: JupyterFrontEnd, source: string): Promise<boolean> {
  const notebook = (app.shell.currentWidget as INotebookPanel | null)?.content;
  if (!notebook?.activeCell || !app.commands.hasCommand('notebook:insert-cell-below')) {
    return false;
  }
  await app.commands.execute('notebook:insert-cell-below');
  notebook.activeCell.model.sharedModel.setSource(source);
  // Ends with the cell, for which the panel does not wait.
  void app.commands.execute('notebook:run-cell');
  return true;
}
