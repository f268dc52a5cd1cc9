/** A tab with the sections of cells and transfers. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Panel } from '@lumino/widgets';

import type { Lines } from '../kernels/lines';
import { Transfers } from '../kernels/transfers';
import type { IStatusSource } from '../status/server-status';
import { CellsSection } from './cells-section';
import { TransfersSection } from './transfers-section';

/** Open it beside the notebook. */
export function openSections(
  app: JupyterFrontEnd,
  status: IStatusSource,
  lines: Lines,
  trans: TranslationBundle
): void {
  const content = new Panel();
  content.addWidget(new CellsSection(status, trans));
  content.addWidget(new TransfersSection(new Transfers(lines), trans));
  const tab = new MainAreaWidget({ content });
  tab.title.label = trans.__('Cells and transfers');
  app.shell.add(tab, 'main', { mode: 'split-right', activate: false });
}
