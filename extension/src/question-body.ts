/** The body of a dialog: paragraphs and, if it is asked for, one password field. */

import { Widget } from '@lumino/widgets';

export class QuestionBody extends Widget {
  constructor(paragraphs: string[], fieldLabel?: string) {
    super();
    this.addClass('jp-Torch-question');
    for (const text of paragraphs) {
      const paragraph = document.createElement('p');
      paragraph.textContent = text;
      this.node.append(paragraph);
    }
    if (fieldLabel !== undefined) {
      const label = document.createElement('label');
      this._input = document.createElement('input');
      this._input.type = 'password';
      this._input.className = 'jp-mod-styled';
      // A browser that offers to save it would fill it in on every other page of the origin.
      this._input.autocomplete = 'off';
      this._input.spellcheck = false;
      label.append(fieldLabel, this._input);
      this.node.append(label);
    }
  }

  /** What was typed; the dialog calls this. */
  getValue(): string {
    return this._input?.value ?? '';
  }

  private _input?: HTMLInputElement;
}
