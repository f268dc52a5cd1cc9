/** The transfers under way, with a bar and a button that cancels for each. */

import 'jupyterlite-torch-style/sections.css';

import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { clock, size } from '../amounts';
import type { Transfers } from '../kernels/transfers';
import type { ITransfer } from '../messages';

/** What a transfer is shown in. It stays while the transfer lasts, and with it the focus. */
interface IItem {
  node: HTMLLIElement;
  bar: HTMLProgressElement;
  text: HTMLSpanElement;
}

export class TransfersSection extends Widget {
  constructor(
    private readonly _transfers: Transfers,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-Torch-transfers');
    this.title.label = _trans.__('Transfers');
    this._none.textContent = _trans.__('Nothing is on its way.');
    this.node.append(this._none, this._list);
    _transfers.changed.connect(this.refresh, this);
  }

  /** Show how things are now; nothing is done while nobody can see it. */
  refresh(): void {
    if (!this.isVisible) {
      return;
    }
    const { now } = this._transfers;
    const ended = new Set(this._items.keys());
    for (const transfer of now) {
      ended.delete(transfer.id);
      let item = this._items.get(transfer.id);
      if (!item) {
        item = this._add(transfer);
        this._items.set(transfer.id, item);
      }
      this._write(item, transfer);
    }
    for (const id of ended) {
      this._items.get(id)?.node.remove();
      this._items.delete(id);
    }
    this._none.hidden = now.length > 0;
  }

  protected override onAfterShow(_: Message): void {
    this.refresh();
  }

  protected override onAfterAttach(_: Message): void {
    this.refresh();
  }

  private _add({ id, name }: ITransfer): IItem {
    const trans = this._trans;
    const node = this._list.appendChild(document.createElement('li'));
    const label = node.appendChild(document.createElement('div'));
    // The magic writes names as code is written.
    label.textContent = name.replaceAll('`', '');
    const bar = node.appendChild(document.createElement('progress'));
    bar.setAttribute('aria-label', label.textContent);
    const text = node.appendChild(document.createElement('span'));
    const button = node.appendChild(document.createElement('button'));
    button.type = 'button';
    button.className = 'jp-Button jp-mod-styled jp-mod-minimal';
    button.textContent = trans.__('Cancel');
    button.setAttribute('aria-label', trans.__('Cancel: %1', label.textContent));
    button.addEventListener('click', () => {
      button.disabled = true;
      this._transfers.cancel(id);
    });
    return { node, bar, text };
  }

  private _write({ bar, text }: IItem, { done, total, left }: ITransfer): void {
    const trans = this._trans;
    bar.max = total || 1;
    bar.value = done;
    const parts = [trans.__('%1 of %2', size(done), size(total))];
    if (left !== null) {
      parts.push(trans.__('%1 left', left < 59.5 ? `${Math.round(left)} s` : clock(left)));
    }
    text.textContent = parts.join(', ');
  }

  private _none = document.createElement('p');
  private _list = document.createElement('ul');
  private _items = new Map<string, IItem>();
}
