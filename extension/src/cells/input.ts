/** The questions of remote cells, `input()` and `getpass()`, to the person at the page. */

import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Widget } from '@lumino/widgets';

import type { Line } from '../kernels/line';
import type { IInputQuestion } from '../messages';
import { askInline, findOutputs } from './output-area';
import { QuestionBody } from '../question-body';

/** The answers go over the line only: JupyterLite's stdin is heard by every page of the origin. */
export class InputQuestions {
  constructor(
    /** The app's widget with all notebooks and consoles in it. */
    private readonly _root: Widget,
    private readonly _trans: TranslationBundle
  ) {}

  /** Ask where the cell is, or in a dialog if nobody knows where that is. */
  ask(line: Line, question: IInputQuestion): void {
    this.withdraw(line, question.id);
    const open = this._open.get(line) ?? new Map<string, () => void>();
    this._open.set(line, open);
    open.set(question.id, this._askInline(line, question) ?? this._askInDialog(line, question));
  }

  /** Nobody waits for this answer any more. */
  withdraw(line: Line, id: string): void {
    const takeAway = this._open.get(line)?.get(id);
    this._open.get(line)?.delete(id);
    takeAway?.();
  }

  /** The line is closed, and with it all of its questions. */
  forget(line: Line): void {
    const open = this._open.get(line);
    this._open.delete(line);
    open?.forEach(takeAway => takeAway());
  }

  private _askInline(line: Line, question: IInputQuestion): (() => void) | null {
    const { id, prompt, password, cell } = question;
    const outputs = cell === null ? null : findOutputs(this._root, cell);
    if (!outputs) {
      return null;
    }
    return askInline(outputs, {
      prompt,
      password,
      onAnswer: value => this._answer(line, id, value),
      onGone: () => {
        if (outputs.area.isDisposed) {
          this._answer(line, id, null);
        } else if (this._open.get(line)?.has(id)) {
          // Cleared outputs leave the cell waiting. After what is clearing them has ended:
          window.setTimeout(() => {
            if (this._open.get(line)?.has(id)) {
              this.ask(line, question);
            }
          });
        }
      }
    });
  }

  private _askInDialog(line: Line, { id, prompt, password }: IInputQuestion): () => void {
    const trans = this._trans;
    const dialog = new Dialog<string>({
      title: trans.__('A remote cell waits for input'),
      body: new QuestionBody([], { label: prompt || trans.__('Input'), password }),
      buttons: [
        Dialog.cancelButton({
          label: trans.__('Cancel'),
          caption: trans.__('Interrupts the cell')
        }),
        Dialog.okButton({ label: trans.__('OK') })
      ],
      focusNodeSelector: 'input'
    });
    void dialog.launch().then(({ button, value }) => {
      this._answer(line, id, button.accept ? (value ?? '') : null);
    });
    return () => dialog.reject();
  }

  private _answer(line: Line, id: string, value: string | null): void {
    // False for what was withdrawn meanwhile.
    if (this._open.get(line)?.delete(id)) {
      line.send({ type: 'input', id, value });
    }
  }

  /** Takes each open question away, by line and id. */
  private _open = new Map<Line, Map<string, () => void>>();
}
