/** The body of a dialog: paragraphs and, if it is asked for, one field. */

import 'jupyterlite-torch-style/dialogs.css';

import { Widget } from '@lumino/widgets';

export interface IField {
  label: string;
  /** Nobody who looks on can read it. */
  password: boolean;
}

export class QuestionBody extends Widget {
  constructor(paragraphs: string[], field?: IField) {
    super();
    this.addClass('jp-Torch-question');
    for (const text of paragraphs) {
      const paragraph = document.createElement('p');
      paragraph.textContent = text;
      this.node.append(paragraph);
    }
    if (field) {
      const label = document.createElement('label');
      this._input = document.createElement('input');
      this._input.type = field.password ? 'password' : 'text';
      this._input.className = 'jp-mod-styled';
      // A browser that offers to save it would fill it in on every other page of the origin.
      this._input.autocomplete = 'off';
      this._input.spellcheck = false;
      label.append(field.label, this._input);
      this.node.append(label);
    }
  }

  /** What was typed; the dialog calls this. */
  getValue(): string {
    return this._input?.value ?? '';
  }

  private _input?: HTMLInputElement;
}
