/** Stop, and what to do when a remote cell does not react to it. */

import type { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Line } from '../kernels/line';

/** How long a cell has to end before the person is asked. */
const PATIENCE_MS = 3000;
/** Who presses Stop again is asked sooner; but a double click is one Stop. */
const DOUBLE_CLICK_MS = 600;

/** A Stop that has not ended its cell yet. */
interface IStop {
  since: number;
  timer: number;
  dialog?: Dialog<unknown>;
}

export class Stops {
  constructor(private readonly _trans: TranslationBundle) {}

  /** The person has pressed Stop. */
  stop(line: Line): void {
    const stop = this._stops.get(line);
    if (!stop) {
      line.send({ type: 'interrupt' });
      if (this._running.has(line)) {
        this._stops.set(line, { since: Date.now(), timer: this._askAfter(line, PATIENCE_MS) });
      }
    } else if (!stop.dialog) {
      window.clearTimeout(stop.timer);
      stop.timer = this._askAfter(line, stop.since + DOUBLE_CLICK_MS - Date.now());
    }
  }

  /** A remote cell runs; Stop is for this one. */
  began(line: Line, id: string): void {
    this._end(line);
    this._running.set(line, id);
  }

  /** A remote cell has ended. */
  ended(line: Line, id: string): void {
    if (this._running.get(line) === id) {
      this.forget(line);
    }
  }

  /** Nothing runs any more behind this line. */
  forget(line: Line): void {
    this._end(line);
    this._running.delete(line);
  }

  private _end(line: Line): void {
    const stop = this._stops.get(line);
    if (stop) {
      this._stops.delete(line);
      window.clearTimeout(stop.timer);
      stop.dialog?.reject();
    }
  }

  private _askAfter(line: Line, delayMs: number): number {
    return window.setTimeout(() => void this._ask(line), delayMs);
  }

  private async _ask(line: Line): Promise<void> {
    const stop = this._stops.get(line);
    const { stopDialog } = await import('./stop-dialog');
    // The cell may have ended meanwhile, or Stop was pressed again.
    if (!stop || stop.dialog || this._stops.get(line) !== stop) {
      return;
    }
    stop.dialog = stopDialog(this._trans);
    const { button } = await stop.dialog.launch();
    if (this._stops.get(line) === stop) {
      this._stops.delete(line);
      if (button.accept) {
        line.send({ type: 'restart' });
      }
    }
  }

  /** The cell that runs behind each line. */
  private _running = new Map<Line, string>();
  private _stops = new Map<Line, IStop>();
}
