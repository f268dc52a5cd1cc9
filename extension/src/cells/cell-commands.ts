/** Commands that turn cells into `%%torch` cells and back. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { notebookOf } from './notebook';
import { canTurn, isTorch } from './torch-cell';

const TOGGLE = 'jupyterlite-torch:toggle-cell';
/** `cell` is the ID of a cell that has run. The magic has a button for it below `import torch`. */
const RUN_THERE = 'jupyterlite-torch:run-with-torch';

export function addCellCommands(
  app: JupyterFrontEnd,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  const { commands } = app;
  const notebook = () => notebookOf(app.shell.currentWidget);
  const active = () => notebook()?.activeCell ?? null;
  commands.addCommand(TOGGLE, {
    label: () =>
      active() && isTorch(active()!)
        ? trans.__('Make this a local cell')
        : trans.__('Make this a %1 cell', '%%torch'),
    caption: trans.__('Where cells that start with %1 run', '%%torch'),
    isEnabled: () => canTurn(active()),
    execute: async () => {
      const shown = notebook();
      if (shown) {
        const { toggle } = await import('./toggle-cell');
        toggle(shown);
      }
    }
  });
  commands.addCommand(RUN_THERE, {
    label: trans.__('Run this cell with %1', '%%torch'),
    isEnabled: ({ cell }) => typeof cell === 'string',
    execute: async ({ cell }) => {
      const { runThere } = await import('./toggle-cell');
      await runThere(app, String(cell));
    }
  });
  palette?.addItem({ command: TOGGLE, category: '%%torch' });
  app.contextMenu.addItem({ command: TOGGLE, selector: '.jp-Notebook .jp-CodeCell', rank: 4 });
  // Beside Y, M and R, by which JupyterLab (4.6) makes a cell one of code, of Markdown, or raw.
  commands.addKeyBinding({
    command: TOGGLE,
    keys: ['T'],
    selector: '.jp-Notebook.jp-mod-commandMode:not(.jp-mod-readWrite) :focus'
  });
}
