/** What the page can be told to do, in the command palette and by buttons in outputs. */

import { Dialog, showDialog, type ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import type { Lines } from './kernels/lines';
import { QuestionBody } from './question-body';

/** `url` (optional) is the address to connect to. The magic's errors have a button for it. */
export const CONNECT = 'jupyterlite-torch:connect';
/** Shows the server that the page is connected to. */
export const SERVER = 'jupyterlite-torch:server';
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
  commands.addCommand(SERVER, {
    label: trans.__('Show the GPU server'),
    isEnabled: () => lines.connected,
    execute: async () => {
      const result = await showDialog({
        title: trans.__('GPU server'),
        body: new QuestionBody((await lines.examine(null)).split('\n')),
        buttons: [
          Dialog.cancelButton({ label: trans.__('Disconnect') }),
          Dialog.okButton({ label: trans.__('Close') })
        ],
        hasClose: true
      });
      if (!result.button.accept && result.button.label === trans.__('Disconnect')) {
        lines.disconnect();
      }
    }
  });
  for (const command of [CONNECT, SERVER, DISCONNECT]) {
    palette?.addItem({ command, category: '%%torch' });
  }
}
