/** The button in the status bar or in a notebook's toolbar that says where `%%torch` cells run. */

import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { hostOf } from '../connect/address';
import type { ServerStatus, Status } from './server-status';

const GIB = 2 ** 30;
/** All that it looks like until there is a server: the rest is loaded then. */
const LOOK =
  'border:none;background:none;color:inherit;font:inherit;cursor:pointer;white-space:nowrap';

export class StatusItem extends Widget {
  constructor(
    private readonly _status: ServerStatus,
    onClick: () => void,
    private readonly _trans: TranslationBundle
  ) {
    super({ node: document.createElement('button') });
    this.addClass('jp-Torch-status');
    this.node.style.cssText = LOOK;
    this.node.title = _trans.__('Where cells that start with %1 run', '%%torch');
    this.node.addEventListener('click', onClick);
    _status.changed.connect(this._show, this);
    this._show();
  }

  override dispose(): void {
    window.clearInterval(this._timer);
    this._status.dispose();
    super.dispose();
  }

  private _show(): void {
    const status = this._status.now;
    this.node.dataset.state = status.state;
    if (status.state !== 'off') {
      void import('jupyterlite-torch-style/status.css');
    }
    this._write();
    window.clearInterval(this._timer);
    if (status.state === 'lost' || (status.state === 'on' && status.session?.cell_s != null)) {
      // Seconds that go by between two answers.
      this._timer = window.setInterval(() => this._write(), 1000);
    }
  }

  private _write(): void {
    const now = describe(this._status.now, performance.now(), this._trans);
    const text = this._trans.__('Torch: %1', now);
    // Written anew, the same text is laid out and drawn anew, beside a cell that may run.
    if (text !== this.node.textContent) {
      this.node.textContent = text;
    }
  }

  private _timer = 0;
}

/** What the button says at `now`, in the milliseconds of `performance.now()`. */
export function describe(status: Status, now: number, trans: TranslationBundle): string {
  switch (status.state) {
    case 'off':
      return trans.__('not connected');
    case 'connecting':
      return trans.__('connecting to %1…', hostOf(status.url));
    case 'refused':
      return trans.__('%1 refuses this page', hostOf(status.url));
    case 'lost': {
      const seconds = Math.max(0, Math.ceil((status.retryAt - now) / 1000));
      return trans.__('%1 is gone; trying again in %2 s', hostOf(status.url), String(seconds));
    }
    case 'on': {
      const { gpus, session } = status;
      const [gpu] = gpus;
      const parts = [session?.device_name || gpu?.name || session?.device || hostOf(status.url)];
      if (gpu && gpu.used !== null && gpu.total !== null) {
        parts.push(trans.__('%1 of %2 GiB', gib(gpu.used), gib(gpu.total)));
      }
      if (gpu && gpu.load !== null) {
        parts.push(`${Math.round(gpu.load * 100)} %`);
      }
      if (session?.cell_s != null) {
        parts.push(clock(session.cell_s + (now - status.since) / 1000));
      }
      return parts.join(' · ');
    }
  }
}

function gib(bytes: number): string {
  const value = bytes / GIB;
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}

/** Seconds as `0:07` or `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
