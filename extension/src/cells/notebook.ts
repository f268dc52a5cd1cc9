/**
 * Notebooks and consoles as far as this extension knows them, which needs neither of their packages
 * for anything else (JupyterLab 4.6).
 */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { Widget } from '@lumino/widgets';

export interface IPosition {
  line: number;
  column: number;
}

export interface IRange {
  start: IPosition;
  end: IPosition;
}

export interface ICell {
  model: {
    id: string;
    type: string;
    sharedModel: {
      getSource(): string;
      updateSource(start: number, end: number, value: string): void;
      /** Yjs's, of the whole notebook or of this cell. */
      undoManager?: { stopCapturing(): void } | null;
    };
  };
  /** Null while the cell is out of view. */
  editor: { getSelection(): IRange; setSelection(range: IRange): void } | null;
  readOnly: boolean;
}

export interface INotebook {
  widgets: readonly ICell[];
  activeCell: ICell | null;
  activeCellIndex: number;
  isSelectedOrActive(cell: ICell): boolean;
  deselectAll(): void;
}

export interface IConsole {
  /** Those that have run. */
  cells: Iterable<ICell>;
  /** Run code as a new cell. */
  inject(code: string): Promise<void>;
}

/** The notebook that a widget of the main area shows; null for none. */
export function notebookOf(widget: Widget | null): INotebook | null {
  const { content } = (widget ?? {}) as { content?: Partial<INotebook> };
  return content && 'activeCellIndex' in content ? (content as INotebook) : null;
}

/** The console that a widget of the main area shows; null for none. */
export function consoleOf(widget: Widget | null): IConsole | null {
  const { console } = (widget ?? {}) as { console?: Partial<IConsole> };
  return console?.inject ? (console as IConsole) : null;
}

/** All widgets of the main area, the current one first. */
export function* mainWidgets({ shell }: JupyterFrontEnd): Iterable<Widget> {
  if (shell.currentWidget) {
    yield shell.currentWidget;
  }
  yield* shell.widgets('main');
}
