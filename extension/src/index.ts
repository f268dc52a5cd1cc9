/** The page's half of jupyterlite-torch: gives each kernel its magic, its session and its server. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { IKernelClient } from '@jupyterlite/services';
import wheelUrl from 'jupyterlite-torch-magic.whl';

import { addCommands } from './commands';
import { addWriting } from './cells/add-writing';
import { normalAddress } from './connect/address';
import { InputQuestions } from './cells/input';
import { KernelSessions } from './kernels/kernel-sessions';
import { KnownServer } from './connect/known-server';
import { Lines } from './kernels/lines';
import { PairingLinks } from './connect/pairing-link';
import { SessionIds, tellsTabsApart } from './kernels/session-id';
import { Stops } from './cells/stop';
import { addStatus } from './status/add-status';
import { lastingStorage, tabStorage } from './storage';
import { ServerQuestions } from './connect/server-questions';
import { loadWheelInKernels } from './kernels/wheel';

const PLUGIN_ID = 'jupyterlite-torch:plugin';

// Both happen as this module loads, before any plugin is activated: the kernel's plugin reads its
// settings once, and the one-time code should stay in the address bar no longer than it must.
loadWheelInKernels(new URL(wheelUrl, document.baseURI).href);
const links = new PairingLinks();

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Connects the kernels of the page to a proxy beside a GPU.',
  autoStart: true,
  // Null in an ordinary JupyterLab, where there is nothing to do.
  optional: [IKernelClient, ITranslator, ICommandPalette, IStatusBar],
  activate: (
    app: JupyterFrontEnd,
    kernels: IKernelClient | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    statusBar: IStatusBar | null
  ) => {
    if (!kernels) {
      return;
    }
    const trans = (translator ?? nullTranslator).load('jupyterlite-torch');
    const storage = tabStorage();
    const lasting = lastingStorage();
    const ids = new SessionIds(storage, tellsTabsApart() ? lasting : null);
    const known = new KnownServer(storage, lasting);
    const addresses = () =>
      [known.get()?.url, defaultServer()].filter((url): url is string => Boolean(url));
    // A new notebook of the same name starts with nothing.
    app.serviceManager.contents.fileChanged.connect((_, { type, oldValue }) => {
      if (type === 'delete' && oldValue?.path !== undefined) {
        ids.forget(oldValue.path);
      }
    });
    const lines = new Lines({
      kernels,
      sessions: new KernelSessions(app.serviceManager.sessions, ids),
      server: known,
      defaultServer: defaultServer(),
      questions: new ServerQuestions(addresses, trans),
      inputs: new InputQuestions(app.shell, trans),
      stops: new Stops(trans),
      trans
    });
    addCommands(app.commands, palette, lines, trans);
    addStatus(app, statusBar, known, lines, trans);
    addWriting(app, palette, known, lines, trans);
    links.follow(async link => {
      const [{ pairByLink }] = await Promise.all([import('./connect/pairing'), app.restored]);
      const server = await pairByLink(link, trans);
      if (server) {
        lines.connect(server);
      }
    });
  }
};

/** The server that the site names in jupyter-lite.json, under litePluginSettings. */
function defaultServer(): string | null {
  const settings = JSON.parse(PageConfig.getOption('litePluginSettings') || '{}');
  return normalAddress(settings[PLUGIN_ID]?.server);
}

export default plugin;
