/** The cells of a session: which run and wait, and what the latest took. */

import 'jupyterlite-torch-style/sections.css';

import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { clock, duration, size } from '../amounts';
import type { ICellSummary } from '../status/server-status';
import type { IPanel } from './section';

export class CellsSection extends Widget {
  /** `panel` says how the session does whose cells are shown. */
  constructor(
    private readonly _panel: Pick<IPanel, 'status'>,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-Torch-cells');
    this.title.label = _trans.__('Cells');
    // It scrolls sideways where the panel is narrow, by keys as well.
    this.node.tabIndex = 0;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', this.title.label);
  }

  override dispose(): void {
    window.clearInterval(this._timer);
    super.dispose();
  }

  /** Show how things are now; nothing is done while nobody can see it. */
  refresh(): void {
    window.clearInterval(this._timer);
    if (!this.isVisible) {
      return;
    }
    this._write();
    const now = this._panel.status;
    if (now.state === 'on' && now.session?.cells?.some(({ state }) => state === 'running')) {
      // Seconds that go by between two answers.
      this._timer = window.setInterval(() => this._write(), 1000);
    }
  }

  protected override onAfterShow(_: Message): void {
    this.refresh();
  }

  protected override onAfterAttach(_: Message): void {
    this.refresh();
  }

  protected override onAfterHide(_: Message): void {
    window.clearInterval(this._timer);
  }

  protected override onBeforeDetach(_: Message): void {
    window.clearInterval(this._timer);
  }

  private _write(): void {
    const trans = this._trans;
    const now = this._panel.status;
    if (now.state !== 'on') {
      this.node.textContent =
        now.state === 'off' ? trans.__('Not connected.') : trans.__('The server does not answer.');
      return;
    }
    const cells = now.session?.cells ?? [];
    if (!cells.length) {
      this.node.textContent = trans.__('No %1 cell has run yet.', '%%torch');
      return;
    }
    const since = (performance.now() - now.since) / 1000;
    const table = document.createElement('table');
    const names = [
      trans.__('Begun'),
      trans.__('State'),
      trans.__('Time'),
      trans.__('Peak GPU memory'),
      trans.__('Sent'),
      trans.__('Received')
    ];
    const head = table.createTHead().insertRow();
    for (const name of names) {
      const cell = head.appendChild(document.createElement('th'));
      cell.scope = 'col';
      cell.textContent = name;
    }
    const body = table.createTBody();
    for (const summary of [...cells].reverse()) {
      const row = body.insertRow();
      row.dataset.state = summary.status ?? summary.state;
      for (const text of this._texts(summary, since)) {
        row.insertCell().textContent = text;
      }
    }
    this.node.replaceChildren(table);
  }

  /** What the row of a cell says, `since` seconds after the server has told of it. */
  private _texts(cell: ICellSummary, since: number): string[] {
    const { state, started, seconds, peak, bytes_up, bytes_down } = cell;
    const running = state === 'running';
    return [
      started === null ? '' : new Date(started).toLocaleTimeString(),
      this._state(cell),
      seconds === null ? '' : running ? clock(seconds + since) : duration(seconds),
      peak === null ? '' : size(peak),
      size(bytes_up),
      state === 'ended' ? size(bytes_down) : ''
    ];
  }

  private _state({ state, status }: ICellSummary): string {
    const trans = this._trans;
    switch (state) {
      case 'queued':
        return trans.__('waits');
      case 'running':
        return trans.__('runs');
      default:
        return status === 'ok'
          ? trans.__('done')
          : status === 'error'
            ? trans.__('error')
            : trans.__('ended');
    }
  }

  private _timer = 0;
}
