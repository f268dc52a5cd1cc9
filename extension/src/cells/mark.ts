/** The mark of one `%%torch` cell: a button at its top right. */

import type { IDisposable } from '@lumino/disposable';
import type { TranslationBundle } from '@jupyterlab/translation';

import { clock, duration, size } from '../amounts';
import type { IReceipt } from '../messages';
import type { ReceiptTip } from './receipt-tip';

/** How a cell was run last in this page. Nothing of it is kept longer than the page lives. */
export interface IRun {
  /** Since when it runs, in the milliseconds of `performance.now()`; null if it does not. */
  since: number | null;
  receipt: IReceipt | null;
}

export class Mark implements IDisposable {
  constructor(
    readonly run: IRun,
    private readonly _tip: ReceiptTip,
    onClick: () => void,
    private readonly _trans: TranslationBundle
  ) {
    this.node.type = 'button';
    this.node.className = 'jp-Torch-mark';
    this.node.addEventListener('click', onClick);
    this.node.addEventListener('pointerenter', () => this._tip.show(this));
    this.node.addEventListener('pointerleave', () => this._tip.hideSoon());
    this.node.addEventListener('focus', () => this._tip.show(this));
    this.node.addEventListener('blur', () => this._tip.hide());
  }

  readonly node = document.createElement('button');

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    if (!this._disposed) {
      this._disposed = true;
      this._tip.forget(this);
      this.node.remove();
    }
  }

  /** Show where cells run, and what is known of the GPU memory while this one does. */
  show(where: string, memory: number | null): void {
    const { since, receipt } = this.run;
    const parts = ['%%torch', where];
    if (since !== null) {
      parts.push(clock((performance.now() - since) / 1000));
      if (memory !== null) {
        parts.push(size(memory));
      }
    } else if (receipt?.seconds != null) {
      parts.push(duration(receipt.seconds));
    }
    this.node.dataset.state = since === null ? 'idle' : 'running';
    this.node.textContent = parts.join(' · ');
    const said = this.rows().map(([name, value]) => `${name}: ${value}`);
    this.node.setAttribute('aria-label', [parts.join(', '), ...said].join('. '));
    this._tip.update(this);
  }

  /** What there is to say of the last run: names and values. */
  rows(): [string, string][] {
    const trans = this._trans;
    const { receipt } = this.run;
    if (!receipt) {
      return [];
    }
    const { device, seconds, peak, bytesUp, bytesDown } = receipt;
    return [
      [trans.__('Device'), device ?? trans.__('unknown')],
      [trans.__('Time'), seconds === null ? trans.__('unknown') : duration(seconds)],
      [trans.__('Peak GPU memory'), peak === null ? trans.__('none') : size(peak)],
      [trans.__('Sent'), size(bytesUp)],
      [trans.__('Received'), size(bytesDown)]
    ];
  }

  private _disposed = false;
}
