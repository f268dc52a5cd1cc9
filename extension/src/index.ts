/** The page's half of jupyterlite-torch: gives each kernel its magic, its session and its server. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { IKernelClient } from '@jupyterlite/services';
import wheelUrl from 'jupyterlite-torch-magic.whl';

import { addCommands, CONNECT } from './commands';
import { normalAddress } from './connect/address';
import { InputQuestions } from './cells/input';
import { markCells } from './cells/torch-cells';
import { addFiles } from './files/add-files';
import type { LineTransfers } from './files/line-transfers';
import { KernelSessions } from './kernels/kernel-sessions';
import { KnownServer } from './connect/known-server';
import { Lines } from './kernels/lines';
import { PairingLinks } from './connect/pairing-link';
import { SessionIds, tellsTabsApart } from './kernels/session-id';
import { Stops } from './cells/stop';
import { addStatus } from './status/add-status';
import { lastingStorage, tabStorage } from './storage';
import { ServerList } from './connect/server-list';
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
  optional: [IKernelClient, ITranslator, ICommandPalette, ISettingRegistry, IStatusBar],
  activate: (
    app: JupyterFrontEnd,
    kernels: IKernelClient | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
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
    const servers = new ServerList(settings, PLUGIN_ID);
    const addresses = async () => {
      const all = [known.get()?.url, ...(await servers.addresses()), defaultServer()];
      return [...new Set(all.filter(url => url != null))];
    };
    known.changed.connect(() => {
      const url = known.get()?.url;
      if (url !== undefined) {
        void servers.add(url);
      }
    });
    // A new notebook of the same name starts with nothing.
    app.serviceManager.contents.fileChanged.connect((_, { type, oldValue }) => {
      if (type === 'delete' && oldValue?.path !== undefined) {
        ids.forget(oldValue.path);
      }
    });
    let transfers: Promise<LineTransfers> | null = null;
    const loadTransfers = async () => {
      const { LineTransfers } = await import('./files/line-transfers');
      return new LineTransfers(app.serviceManager.contents, known, trans);
    };
    const lines = new Lines({
      kernels,
      sessions: new KernelSessions(app.serviceManager.sessions, ids),
      server: known,
      defaultServer: defaultServer(),
      questions: new ServerQuestions(addresses, trans),
      inputs: new InputQuestions(app.shell, trans),
      stops: new Stops(trans),
      files: () => (transfers ??= loadTransfers()),
      trans
    });
    addCommands(app.commands, palette, lines, trans);
    const status = addStatus(app, statusBar, known, lines, trans);
    const connect = () => void app.commands.execute(CONNECT);
    markCells(app, { lines, known, status, connect, trans });
    addFiles(app, palette, known, lines, trans);
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
