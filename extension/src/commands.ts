/** What the page can be told to do, in the command palette and by buttons in outputs. */

import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import type { Lines } from './kernels/lines';

/** `url` (optional) is the address to connect to. The magic's errors have a button for it. */
export const CONNECT = 'jupyterlite-torch:connect';
const DISCONNECT = 'jupyterlite-torch:disconnect';

export function addCommands(
  commands: CommandRegistry,
  palette: ICommandPalette | null,
  lines: Lines,
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
  for (const command of [CONNECT, DISCONNECT]) {
    palette?.addItem({ command, category: '%%torch' });
  }
}
