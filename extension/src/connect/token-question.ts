/** Asks the person for the token of a server, in a field of the page's own. */

import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { hostOf, normalAddress } from './address';
import { QuestionBody } from '../question-body';

/** Who asks; two kernels that ask for one server get one dialog. */
type Asker = object;

interface IQuestion {
  answer: Promise<string | null>;
  askers: Set<Asker>;
  withdraw: () => void;
}

/**
 * Ask the server for anything, whatever comes of it: Chrome (since 142) asks the person before a
 * public page may reach the local network, and does so for the page after a click, not for a worker.
 */
async function reach(address: string, token: string): Promise<void> {
  try {
    await fetch(`${address}/kernel_proxy/api/v1/`, {
      headers: { Authorization: `token ${token}` },
      credentials: 'omit'
    });
  } catch {
    // The worker meets the same error and says what it means.
  }
}

export class TokenQuestions {
  constructor(private readonly _trans: TranslationBundle) {}

  /** The token that was typed, or null if the person cancelled. */
  ask(url: string, asker: Asker): Promise<string | null> {
    const address = normalAddress(url);
    if (address === null) {
      return Promise.resolve(null);
    }
    const open = this._open.get(address);
    if (open) {
      open.askers.add(asker);
      return open.answer;
    }
    const dialog = this._dialog(address);
    let withdrawn = false;
    const answer = this._last.then(async () => {
      try {
        const result = withdrawn ? null : await dialog.launch();
        const token = (result?.button.accept && result.value?.trim()) || null;
        if (token !== null) {
          await reach(address, token);
        }
        return token;
      } finally {
        this._open.delete(address);
        dialog.dispose();
      }
    });
    this._last = answer.catch(() => {});
    const withdraw = () => {
      withdrawn = true;
      dialog.reject();
    };
    this._open.set(address, { answer, askers: new Set([asker]), withdraw });
    return answer;
  }

  /** Nobody waits for this asker's answers any more. */
  withdraw(asker: Asker): void {
    for (const question of this._open.values()) {
      if (question.askers.delete(asker) && question.askers.size === 0) {
        question.withdraw();
      }
    }
  }

  private _dialog(address: string): Dialog<string> {
    const trans = this._trans;
    const body = new QuestionBody(
      [
        trans.__('Cells that start with %1 will run on %2.', '%%torch', address),
        trans.__(
          'The token is printed by `jupyter torch-proxy` when it starts. It is sent to that address only, kept until this tab is closed, and never stored in the notebook.'
        )
      ],
      { label: trans.__('Token'), password: true }
    );
    return new Dialog<string>({
      title: trans.__('Connect to %1', hostOf(address)),
      body,
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.okButton({ label: trans.__('Connect') })
      ],
      focusNodeSelector: 'input'
    });
  }

  private _open = new Map<string, IQuestion>();
  /** Dialogs come one after the other. */
  private _last: Promise<unknown> = Promise.resolve();
}
