/** Puts the status where each app has room for it. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IStatusBar } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

import { CONNECT, PANEL } from '../commands';
import type { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import { kernelOf } from '../kernels/kernel-of';
import { type IStatusSource, ServerStatus, type Status } from './server-status';
import { StatusItem } from './status-item';

/** A notebook's panel, of a package that this extension needs for nothing else. */
interface IWithToolbar {
  toolbar: { insertBefore(at: string, name: string, widget: Widget): boolean };
}

/** Returns what the server says for others to show; nothing more is asked of it for them. */
export function addStatus(
  app: JupyterFrontEnd,
  statusBar: IStatusBar | null,
  known: KnownServer,
  lines: Lines,
  trans: TranslationBundle
): IStatusSource {
  // The last answer of those that were asked for any notebook.
  const changed = new Signal<object, void>({});
  const last = { now: { state: 'off' } as Status, changed };
  const make = (widget: () => Widget | null): StatusItem => {
    const session = () => {
      const kernel = kernelOf(widget());
      return kernel === null ? null : lines.sessionOf(kernel);
    };
    const status = new ServerStatus(known, session);
    status.changed.connect(() => {
      last.now = status.now;
      changed.emit();
    });
    lines.cellChanged.connect(status.askSoon, status);
    const click = () => void app.commands.execute(known.get() ? PANEL : CONNECT);
    return new StatusItem(status, click, trans);
  };
  if (statusBar) {
    const item = make(() => app.shell.currentWidget);
    statusBar.registerStatusItem('jupyterlite-torch:status', { item, align: 'left', rank: 50 });
    return last;
  }
  app.docRegistry.addWidgetExtension('Notebook', {
    createNew: panel => {
      const item = make(() => panel);
      (panel as unknown as IWithToolbar).toolbar.insertBefore('spacer', 'torch', item);
      return item;
    }
  });
  return last;
}
