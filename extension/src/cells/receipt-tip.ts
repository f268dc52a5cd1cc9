/** The receipt of a cell, beside the mark that the pointer or the focus is on. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Mark } from './mark';

/** In which the pointer can get from the mark to the receipt. */
const GRACE_MS = 150;

export class ReceiptTip {
  constructor(private readonly _trans: TranslationBundle) {
    this._node.className = 'jp-Torch-receipt';
    this._node.id = 'jp-Torch-receipt';
    this._node.setAttribute('role', 'tooltip');
    this._node.addEventListener('pointerenter', () => window.clearTimeout(this._timer));
    this._node.addEventListener('pointerleave', () => this.hideSoon());
  }

  show(mark: Mark): void {
    if (this._mark !== mark) {
      this.hide();
    }
    window.clearTimeout(this._timer);
    this._mark = mark;
    // In the body, since a notebook cuts off what a cell shows beyond itself.
    document.body.appendChild(this._node);
    document.addEventListener('keydown', this._onKey, true);
    document.addEventListener('scroll', this._onScroll, true);
    this.update(mark);
  }

  /** Hide it unless the pointer comes back, or has come to the receipt. */
  hideSoon(): void {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => {
      if (document.activeElement !== this._mark?.node) {
        this.hide();
      }
    }, GRACE_MS);
  }

  hide(): void {
    window.clearTimeout(this._timer);
    this._mark = null;
    this._node.remove();
    document.removeEventListener('keydown', this._onKey, true);
    document.removeEventListener('scroll', this._onScroll, true);
  }

  /** The mark is gone. */
  forget(mark: Mark): void {
    if (this._mark === mark) {
      this.hide();
    }
  }

  /** The mark says something else now. */
  update(mark: Mark): void {
    if (this._mark !== mark) {
      return;
    }
    const rows = mark.rows();
    if (rows.length) {
      const list = document.createElement('dl');
      for (const [name, value] of rows) {
        list.appendChild(document.createElement('dt')).textContent = name;
        list.appendChild(document.createElement('dd')).textContent = value;
      }
      this._node.replaceChildren(list);
    } else {
      const trans = this._trans;
      this._node.textContent =
        mark.run.since === null
          ? trans.__('Not run since this page was opened.')
          : trans.__('It runs. What it took is told at its end.');
    }
    this._place(mark);
  }

  private _place(mark: Mark): void {
    const { right, bottom, top } = mark.node.getBoundingClientRect();
    const { height } = this._node.getBoundingClientRect();
    const below = bottom + height + 4 < window.innerHeight;
    this._node.style.right = `${document.documentElement.clientWidth - right}px`;
    this._node.style.top = `${below ? bottom + 2 : Math.max(0, top - height - 2)}px`;
  }

  private _onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') {
      this.hide();
    }
  };

  private _onScroll = (): void => {
    // To get the focus, a mark out of view is scrolled into it.
    if (this._mark) {
      this._place(this._mark);
    }
  };

  private _node = document.createElement('div');
  private _mark: Mark | null = null;
  private _timer = 0;
}
