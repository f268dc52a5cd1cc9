/** The command that shows the session's folder. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';

const FILES = 'jupyterlite-torch:files';

export function addFiles(
  app: JupyterFrontEnd,
  palette: ICommandPalette | null,
  known: KnownServer,
  lines: Lines,
  trans: TranslationBundle
): void {
  app.commands.addCommand(FILES, {
    label: trans.__('Show the folder of the GPU session'),
    caption: trans.__('Files where cells that start with %1 run', '%%torch'),
    execute: async () => {
      const { filesOptions, showFiles } = await import('./show-files');
      await showFiles(app, filesOptions(app, known, lines, trans));
    }
  });
  palette?.addItem({ command: FILES, category: '%%torch' });
}
