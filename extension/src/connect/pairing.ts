/** Connects the page to the proxy that a pairing link names. */

import { Dialog, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { hostOf } from './address';
import { ConnectFault, Doctor } from './doctor';
import type { IServer } from '../messages';
import type { IPairingLink } from './pairing-link';
import { QuestionBody } from '../question-body';

/** The server, or null if the person said no or it failed, which a dialog has told. */
export async function pairByLink(
  link: IPairingLink,
  trans: TranslationBundle
): Promise<IServer | null> {
  const { url, code } = link;
  if (url === null) {
    await showErrorMessage(
      trans.__('The link does not connect'),
      trans.__(
        'It names no address of a server (http://... or https://...). Copy the whole link that `jupyter torch-proxy` prints.'
      )
    );
    return null;
  }
  if (!(await agrees(url, trans))) {
    return null;
  }
  try {
    return await new Doctor(trans).connect(url, code);
  } catch (error) {
    await showErrorMessage(
      trans.__('Could not connect to %1', hostOf(url)),
      error instanceof ConnectFault ? error.text : String(error)
    );
    return null;
  }
}

async function agrees(url: string, trans: TranslationBundle): Promise<boolean> {
  const result = await showDialog({
    title: trans.__('Connect to %1?', hostOf(url)),
    body: new QuestionBody([
      trans.__('Connect this page (%1) to %2?', window.location.origin, url),
      trans.__(
        'Its %1 cells will run there with the rights of the person who started it.',
        '%%torch'
      ),
      trans.__('Say yes only if you started it yourself, or know who did.')
    ]),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Connect') })
    ],
    // Anybody can make such a link, so the Enter key alone does not accept it.
    defaultButton: 0
  });
  return result.button.accept;
}
