/** What the page can be told to do, in the command palette and by buttons in outputs. */

import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import type { Lines } from './kernels/lines';

/** `url` (optional) is the address to connect to. The magic's errors have a button for it. */
export const CONNECT = 'jupyterlite-torch:connect';
/** Shows the server, its sessions, GPUs and variables. */
export const PANEL = 'jupyterlite-torch:panel';
const DISCONNECT = 'jupyterlite-torch:disconnect';

export function addCommands(
  commands: CommandRegistry,
  palette: ICommandPalette | null,
  lines: Lines,
  openPanel: () => Promise<void>,
  trans: TranslationBundle
): void {
  commands.addCommand(CONNECT, {
    label: trans.__('Connect to a GPU server…'),
    caption: trans.__('Where cells that start with %1 run', '%%torch'),
    execute: ({ url }) => lines.ask(typeof url === 'string' ? url : undefined)
  });
  commands.addCommand(DISCONNECT, {
    label: trans.__('Disconnect from the GPU server'),
    caption: trans.__('What runs there goes on'),
    isEnabled: () => lines.connected,
    execute: () => lines.disconnect()
  });
  commands.addCommand(PANEL, {
    label: trans.__('Show the GPU server'),
    caption: trans.__('Its sessions, GPUs and variables'),
    execute: openPanel
  });
  for (const command of [CONNECT, PANEL, DISCONNECT]) {
    palette?.addItem({ command, category: '%%torch' });
  }
}
