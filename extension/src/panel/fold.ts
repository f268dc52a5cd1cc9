/** A section below its title, which folds it away. */

import { caretDownIcon } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import { Panel, Widget } from '@lumino/widgets';

export class Fold extends Panel {
  constructor(private readonly _section: Widget) {
    super();
    this.addClass('jp-Torch-fold');
    const { id, title } = _section;
    _section.id = id || `jp-Torch-section-${++made}`;
    this._button.setAttribute('aria-controls', _section.id);
    caretDownIcon.element({ container: this._button, tag: 'span' });
    this._button.append(title.label);
    this._button.addEventListener('click', () => this._toggle());
    const heading = document.createElement('h3');
    heading.append(this._button);
    this.addWidget(new Widget({ node: heading }));
    this.addWidget(_section);
    this._say();
  }

  /** Emitted when the section can be seen again. */
  readonly opened = new Signal<this, void>(this);

  private _toggle(): void {
    this._section.setHidden(!this._section.isHidden);
    this._say();
    if (!this._section.isHidden) {
      this.opened.emit();
    }
  }

  private _say(): void {
    this._button.setAttribute('aria-expanded', String(!this._section.isHidden));
  }

  private _button = document.createElement('button');
}

let made = 0;
