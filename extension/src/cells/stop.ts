/** Stop, and what to do when a remote cell does not react to it. */

import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Line } from '../kernels/line';
import { QuestionBody } from '../question-body';

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
    if (!stop) {
      return;
    }
    stop.dialog = this._dialog();
    const { button } = await stop.dialog.launch();
    if (this._stops.get(line) === stop) {
      this._stops.delete(line);
      if (button.accept) {
        line.send({ type: 'restart' });
      }
    }
  }

  private _dialog(): Dialog<unknown> {
    const trans = this._trans;
    return new Dialog({
      title: trans.__('The remote cell does not stop'),
      body: new QuestionBody([
        trans.__(
          'It did not react to the interrupt. Likely it is inside a call of compiled code that does not return to Python: a CUDA kernel, a C library, or a network call that is blocked.'
        ),
        trans.__(
          'A restart of the remote kernel ends it. The variables there will be lost; those of this page stay.'
        )
      ]),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Keep waiting') }),
        Dialog.warnButton({ label: trans.__('Restart the remote kernel') })
      ],
      // What is lost does not come back, so the Enter key alone does not restart.
      defaultButton: 0
    });
  }

  /** The cell that runs behind each line. */
  private _running = new Map<Line, string>();
  private _stops = new Map<Line, IStop>();
}
