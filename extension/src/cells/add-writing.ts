/** What helps while a `%%torch` cell is written. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import { addCellCommands } from './cell-commands';
import { addIntrospection } from './introspection';

export function addWriting(
  app: JupyterFrontEnd,
  palette: ICommandPalette | null,
  known: KnownServer,
  lines: Lines,
  trans: TranslationBundle
): void {
  addIntrospection(app.serviceManager.kernels, known, lines);
  addCellCommands(app, palette, trans);
}
