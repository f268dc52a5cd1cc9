/** Opens the panel where each app has room for it, and loads it when that is asked for first. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import type { TorchPanel } from './panel';

export class PanelOpener {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _known: KnownServer,
    private readonly _lines: Lines,
    private readonly _trans: TranslationBundle
  ) {}

  async open(): Promise<void> {
    const { shell } = this._app;
    if (!hasSidebar(shell)) {
      await this._openOver();
      return;
    }
    this._panel ??= this._make().then(panel => {
      shell.add(panel, 'right', { rank: 600, type: 'Torch' });
      return panel;
    });
    shell.activateById((await this._panel).id);
  }

  /**
   * Over the page, where the app's shell holds one widget alone, as the repl's (JupyterLite 0.8.6). Not
   * in a dialog, behind which those that it opens itself would wait.
   */
  private async _openOver(): Promise<void> {
    this._panel ??= this._make();
    const panel = await this._panel;
    if (!panel.isAttached) {
      panel.float(() => {
        this._panel = null;
      });
    }
  }

  private async _make(): Promise<TorchPanel> {
    const { TorchPanel } = await import('./panel');
    return new TorchPanel(this._app, this._known, this._lines, this._trans);
  }

  private _panel: Promise<TorchPanel> | null = null;
}

/** JupyterLab's shell and that of the notebook app both have this (4.6 and 7.6). */
function hasSidebar(shell: JupyterFrontEnd.IShell): boolean {
  return typeof (shell as { expandRight?: unknown }).expandRight === 'function';
}
