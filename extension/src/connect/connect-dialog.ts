/** The dialog that connects the page to a server. It stays until it has, and says why not. */

import 'jupyterlite-torch-style/dialogs.css';

import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { ConnectFault, type Doctor } from './doctor';
import type { IServer } from '../messages';

export interface IConnectOptions {
  /** What stands in the address field at first. */
  address: string;
  /** Somebody asked for this address and takes no other one. */
  fixed: boolean;
  /** Addresses to choose from. */
  known: string[];
}

/** What the person has connected to, and whether it is to be remembered beyond this tab. */
export interface IConnected {
  server: IServer;
  remember: boolean;
}

export class ConnectDialog extends Dialog<IConnected | null> {
  constructor(
    private readonly _doctor: Doctor,
    trans: TranslationBundle,
    options: IConnectOptions
  ) {
    const body = new ConnectBody(trans, options);
    super({
      title: trans.__('Connect to a GPU server'),
      body,
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.okButton({ label: trans.__('Connect') })
      ],
      focusNodeSelector: options.address ? 'input[type=password]' : 'input'
    });
    this._form = body;
    this.addClass('jp-Torch-connect');
  }

  /** Connect first; the dialog is left when that went well, or is cancelled. */
  override resolve(index = 1): void {
    if (index !== 1 || this._form.connected) {
      super.resolve(index);
    } else if (!this._connecting) {
      this._connecting = true;
      void this._connect().finally(() => {
        this._connecting = false;
      });
    }
  }

  private async _connect(): Promise<void> {
    const form = this._form;
    try {
      form.showProgress();
      const server = await this._doctor.connect(form.address, form.credential);
      if (!this.isAttached) {
        return;
      }
      form.connected = { server, remember: form.remember };
      super.resolve(1);
    } catch (error) {
      form.showFault(
        error instanceof ConnectFault ? error : new ConnectFault('refused', String(error))
      );
    }
  }

  private _form: ConnectBody;
  private _connecting = false;
}

class ConnectBody extends Widget {
  constructor(
    private readonly _trans: TranslationBundle,
    { address, fixed, known }: IConnectOptions
  ) {
    super();
    this.addClass('jp-Torch-question');
    const trans = _trans;
    const about = document.createElement('p');
    about.textContent = trans.__(
      'Cells that start with %1 will run on that server, with the rights of the person who started it.',
      '%%torch'
    );
    this._address = field(trans.__('Address'), 'url');
    this._address.value = address;
    this._address.readOnly = fixed;
    this._address.placeholder = 'http://127.0.0.1:8889';
    const list = document.createElement('datalist');
    list.id = 'jp-Torch-servers';
    list.append(...known.map(url => new Option(url, url)));
    this._address.setAttribute('list', list.id);
    this._credential = field(trans.__('Token or one-time code'), 'password');
    const hint = document.createElement('p');
    hint.textContent = trans.__(
      '`jupyter torch-proxy` prints them when it starts. They are sent to that address only, never stored in a notebook, and forgotten with this tab unless you want to stay connected.'
    );
    this._remember = document.createElement('input');
    this._remember.type = 'checkbox';
    const remember = document.createElement('label');
    remember.className = 'jp-Torch-remember';
    remember.append(
      this._remember,
      trans.__('Stay connected on this device, also for other tabs and later visits')
    );
    // Read aloud when it changes.
    this._said = document.createElement('div');
    this._said.setAttribute('role', 'alert');
    this._said.className = 'jp-Torch-said';
    this.node.append(
      about,
      labelled(this._address),
      list,
      labelled(this._credential),
      hint,
      remember,
      this._said
    );
  }

  connected: IConnected | null = null;

  get address(): string {
    return this._address.value;
  }

  get credential(): string {
    return this._credential.value.trim();
  }

  get remember(): boolean {
    return this._remember.checked;
  }

  /** What came of it; the dialog calls this. */
  getValue(): IConnected | null {
    return this.connected;
  }

  showProgress(): void {
    this._said.replaceChildren(this._trans.__('Connecting…'));
  }

  showFault(fault: ConnectFault): void {
    const message = document.createElement('p');
    message.className = 'jp-Torch-fault';
    message.textContent = fault.message;
    const commands = fault.commands.map(command => {
      const line = document.createElement('pre');
      line.textContent = command;
      return line;
    });
    this._said.replaceChildren(message, ...commands);
    (fault.kind === 'credential' ? this._credential : this._address).focus();
  }

  private _address: HTMLInputElement;
  private _credential: HTMLInputElement;
  private _remember: HTMLInputElement;
  private _said: HTMLElement;
}

function field(label: string, type: string): HTMLInputElement {
  const input = document.createElement('input');
  // Not `url`: that would refuse an address without http://, which is understood.
  input.type = type === 'url' ? 'text' : type;
  input.className = 'jp-mod-styled';
  input.setAttribute('aria-label', label);
  // A browser that offers to save it would fill it in on every other page of the origin.
  input.autocomplete = 'off';
  input.spellcheck = false;
  return input;
}

function labelled(input: HTMLInputElement): HTMLElement {
  const label = document.createElement('label');
  label.append(input.getAttribute('aria-label') ?? '', input);
  return label;
}
