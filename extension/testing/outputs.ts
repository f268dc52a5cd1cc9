/** Notebooks with real output areas of JupyterLab, as far as a question of a cell looks at them. */

import { OutputArea, OutputAreaModel } from '@jupyterlab/outputarea';
import { RenderMimeRegistry, standardRendererFactories } from '@jupyterlab/rendermime';
import { Panel, Widget } from '@lumino/widgets';

/** The app's widget, with one notebook in it and what it talks to its kernel with. */
export class Outputs {
  readonly root = new Panel();
  readonly kernel = { hasPendingInput: false, isDisposed: false };

  constructor() {
    const notebook = new Panel();
    Object.assign(notebook, { sessionContext: { session: { kernel: this.kernel } } });
    this._cells = new Panel();
    notebook.addWidget(this._cells);
    this.root.addWidget(notebook);
    Widget.attach(this.root, document.body);
  }

  /** A cell that sent an `execute_request`, with its output area. */
  addCell(msgId: string): OutputArea {
    const area = new OutputArea({
      model: new OutputAreaModel(),
      rendermime: new RenderMimeRegistry({ initialFactories: standardRendererFactories })
    });
    // As if it had been run; the kernel's own answer is nothing that a question looks at.
    Object.assign(area, {
      _future: { msg: { header: { msg_id: msgId } }, isDisposed: false, dispose() {} }
    });
    const cell = new Panel();
    Object.assign(cell, { outputArea: area });
    cell.addWidget(area);
    this._cells.addWidget(cell);
    return area;
  }

  /** What an output area shows, with the field of a question in it. */
  field(area: OutputArea): HTMLInputElement | null {
    return area.node.querySelector('input');
  }

  private _cells: Panel;
}
