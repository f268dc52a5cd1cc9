/** Cells and notebooks as far as the sources that change cells look at them. */

import type { Widget } from '@lumino/widgets';

import type { ICell, INotebook, IRange } from '../src/cells/notebook';

/** One for a notebook, as Yjs's: what happens at once is one step, unless somebody says otherwise. */
export class UndoManager {
  /** Something was changed that can be taken back. */
  changed(back: () => void): void {
    if (!this._capturing) {
      this._steps.push([]);
      this._capturing = true;
    }
    this._steps.at(-1)!.push(back);
  }

  stopCapturing(): void {
    this._capturing = false;
  }

  undo(): void {
    this._steps
      .pop()
      ?.reverse()
      .forEach(back => back());
    this._capturing = false;
  }

  private _steps: (() => void)[][] = [];
  private _capturing = false;
}

let made = 0;

export class Cell implements ICell {
  constructor(
    private _source: string,
    { type = 'code', readOnly = false } = {}
  ) {
    this.readOnly = readOnly;
    this.model = { id: `cell-${++made}`, type, sharedModel: this };
  }

  readonly model;
  readonly readOnly: boolean;
  undoManager: UndoManager | null = null;
  selection: IRange = { start: { line: 0, column: 0 }, end: { line: 0, column: 0 } };
  editor: ICell['editor'] = {
    getSelection: () => this.selection,
    setSelection: range => {
      this.selection = range;
    }
  };

  getSource(): string {
    return this._source;
  }

  updateSource(start: number, end: number, value: string): void {
    const before = this._source;
    this.undoManager?.changed(() => (this._source = before));
    this._source = before.slice(0, start) + value + before.slice(end);
  }
}

export class Notebook implements INotebook {
  constructor(...cells: Cell[]) {
    this.widgets = cells;
    cells.forEach(cell => (cell.undoManager = this.undoManager));
  }

  readonly undoManager = new UndoManager();
  readonly widgets: readonly Cell[];
  readonly selected = new Set<ICell>();
  activeCellIndex = 0;

  get activeCell(): Cell | null {
    return this.widgets[this.activeCellIndex] ?? null;
  }

  get sources(): string[] {
    return this.widgets.map(cell => cell.getSource());
  }

  isSelectedOrActive(cell: ICell): boolean {
    return cell === this.activeCell || this.selected.has(cell);
  }

  deselectAll(): void {
    this.selected.clear();
  }

  /** The widget of the main area that shows it. */
  get panel(): Widget {
    return { content: this } as unknown as Widget;
  }
}
