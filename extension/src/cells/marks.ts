/** The marks of `%%torch` cells: where they run, how long they have, and what they took. */

import 'jupyterlite-torch-style/marks.css';

import { hostOf } from '../connect/address';
import type { ICellChange } from '../messages';
import { readReceipt } from '../reports';
import { type IRun, Mark } from './mark';
import { ReceiptTip } from './receipt-tip';
import type { ICell, IMarksOptions, INotebook } from './torch-cells';

export class Marks {
  constructor(private readonly _options: IMarksOptions) {
    const { lines, known, status } = _options;
    status.changed.connect(this._show, this);
    known.changed.connect(this._show, this);
    lines.transferred.connect((_, { line, message }) => {
      // Of a line that is closed.
      if (message === null) {
        this._endAll(line.kernelId);
      }
    });
    this._tip = new ReceiptTip(_options.trans);
  }

  /** A cell starts with `%%torch`. */
  add(notebook: INotebook, cell: ICell): void {
    if (cell.isDisposed || this._marked.has(cell)) {
      return;
    }
    // By the cell's id, which it keeps when it is moved to another place.
    const runs = this._runs.get(notebook) ?? new Map<string, IRun>();
    this._runs.set(notebook, runs);
    const run = runs.get(cell.model.id) ?? { since: null, receipt: null };
    runs.set(cell.model.id, run);
    const mark = new Mark(run, this._tip, () => this._click(mark), this._options.trans);
    cell.node.appendChild(mark.node);
    this._marked.set(cell, { notebook, mark });
    cell.disposed.connect(() => this.remove(cell));
    this._showOne(notebook, mark);
  }

  /** A cell does not any more, or is gone. */
  remove(cell: ICell): void {
    this._marked.get(cell)?.mark.dispose();
    this._marked.delete(cell);
  }

  /** A cell of any notebook has begun or ended. */
  cellChanged(change: ICellChange & { kernelId: string }): void {
    const key = `${change.kernelId} ${change.id}`;
    if (change.state === 'running') {
      const run = change.message === null ? null : this._runOf(change.message);
      if (run) {
        run.since = performance.now();
        run.receipt = null;
        this._running.set(key, run);
      }
    } else {
      const run = this._running.get(key);
      this._running.delete(key);
      if (run) {
        run.since = null;
        run.receipt = readReceipt(change.receipt);
      }
    }
    this._show();
  }

  /** The cell whose run a local message has asked for. */
  private _runOf(message: string): IRun | null {
    for (const [cell, { mark }] of this._marked) {
      if (cell.outputArea?.future?.msg.header.msg_id === message) {
        return mark.run;
      }
    }
    return null;
  }

  private _endAll(kernelId: string): void {
    for (const [key, run] of this._running) {
      if (key.startsWith(`${kernelId} `)) {
        this._running.delete(key);
        run.since = null;
      }
    }
    this._show();
  }

  private _show(): void {
    for (const { notebook, mark } of this._marked.values()) {
      this._showOne(notebook, mark);
    }
    window.clearTimeout(this._timer);
    if (this._running.size) {
      // Seconds that go by between two answers of the server.
      this._timer = window.setTimeout(() => this._show(), 1000);
    }
  }

  private _showOne(notebook: INotebook, mark: Mark): void {
    const { status, lines } = this._options;
    const { now } = status;
    const kernel = notebook.sessionContext.session?.kernel;
    const session = now.state === 'on' ? now.session : null;
    const isItsOwn = kernel && session && session.id === lines.sessionOf(kernel.id);
    mark.show(this._where(), isItsOwn ? (session.memory ?? null) : null);
  }

  /** Where cells run, in a few words. */
  private _where(): string {
    const { known, status, trans } = this._options;
    const { now } = status;
    const server = known.get();
    if (server === null) {
      return trans.__('not connected');
    }
    switch (now.state) {
      case 'on': {
        // It is told for the session of the notebook in front, and is the same for those beside it.
        const device = now.session?.device_name || now.session?.device;
        if (device) {
          this._device = { url: now.url, device };
        }
        const known = this._device?.url === now.url ? this._device.device : null;
        return known ?? now.gpus[0]?.name ?? hostOf(now.url);
      }
      case 'lost':
        return trans.__('%1 is gone', hostOf(now.url));
      case 'refused':
        return trans.__('%1 refuses this page', hostOf(now.url));
      default:
        return hostOf(server.url);
    }
  }

  private _click(mark: Mark): void {
    if (this._options.known.get() === null) {
      this._options.connect();
    } else {
      // On a screen that is touched nothing hovers.
      this._tip.show(mark);
    }
  }

  private _marked = new Map<ICell, { notebook: INotebook; mark: Mark }>();
  private _runs = new WeakMap<INotebook, Map<string, IRun>>();
  /** What runs now, by the kernel and the id of the run. */
  private _running = new Map<string, IRun>();
  /** The last that a session has told. */
  private _device: { url: string; device: string } | null = null;
  private _tip: ReceiptTip;
  private _timer = 0;
}
