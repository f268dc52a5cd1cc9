/** What the person is asked when a remote cell does not react to Stop. */

import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { QuestionBody } from '../question-body';

export function stopDialog(trans: TranslationBundle): Dialog<unknown> {
  return new Dialog({
    title: trans.__('The remote cell does not stop'),
    body: new QuestionBody([
      trans.__(
        'It did not react to the interrupt. Likely it is inside a call of compiled code that does not return to Python: a CUDA kernel, a C library, or a network call that is blocked.'
      ),
      trans.__(
        'A restart of the remote kernel ends it. The variables there will be lost; those of this page stay.'
      )
    ]),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Keep waiting') }),
      Dialog.warnButton({ label: trans.__('Restart the remote kernel') })
    ],
    // What is lost does not come back, so the Enter key alone does not restart.
    defaultButton: 0
  });
}
