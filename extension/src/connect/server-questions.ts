/** Asks the person for a server, in one dialog for all who want to know. */

import type { TranslationBundle } from '@jupyterlab/translation';

import { normalAddress } from './address';
import type { ConnectDialog, IConnected } from './connect-dialog';

/** Who asks; two kernels that ask for one server get one dialog. */
type Asker = object;

interface IQuestion {
  answer: Promise<IConnected | null>;
  askers: Set<Asker>;
  withdraw: () => void;
}

export class ServerQuestions {
  constructor(
    /** The addresses to choose from, the likeliest first. */
    private readonly _known: () => Promise<string[]>,
    private readonly _trans: TranslationBundle
  ) {}

  /** What the person connects to, `url` if it is given; null if they cancelled. */
  ask(asker: Asker, url?: string): Promise<IConnected | null> {
    const address = url === undefined ? '' : normalAddress(url);
    if (address === null) {
      return Promise.resolve(null);
    }
    const open = this._open.get(address);
    if (open) {
      open.askers.add(asker);
      return open.answer;
    }
    let withdrawn = false;
    let dialog: ConnectDialog | null = null;
    const answer = this._last.then(async () => {
      try {
        dialog = await this._dialog(address);
        const result = withdrawn ? null : await dialog.launch();
        return result?.button.accept ? result.value : null;
      } finally {
        this._open.delete(address);
        dialog?.dispose();
      }
    });
    this._last = answer.catch(() => {});
    const withdraw = () => {
      withdrawn = true;
      dialog?.reject();
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

  /** Loaded when it is asked for: a page that never connects does not pay for it. */
  private async _dialog(address: string): Promise<ConnectDialog> {
    const [{ ConnectDialog }, { Doctor }] = await Promise.all([
      import('./connect-dialog'),
      import('./doctor')
    ]);
    const known = await this._known();
    return new ConnectDialog(new Doctor(this._trans), this._trans, {
      address: address || (known[0] ?? ''),
      fixed: address !== '',
      known
    });
  }

  private _open = new Map<string, IQuestion>();
  /** Dialogs come one after the other. */
  private _last: Promise<unknown> = Promise.resolve();
}
