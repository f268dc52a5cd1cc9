/** Which cells of notebooks start with `%%torch`; what marks them is loaded with the first one. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { OutputArea } from '@jupyterlab/outputarea';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ISignal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

import type { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import type { IStatusSource } from '../status/server-status';
import type { Marks } from './marks';
import { magicLineOf } from './torch-cell';

/** A cell of a notebook, of a package that this extension needs for nothing else. */
export interface ICell extends Widget {
  readonly model: {
    readonly id: string;
    readonly type: string;
    readonly sharedModel: {
      getSource(): string;
      readonly changed: ISignal<unknown, { sourceChange?: unknown }>;
    };
  };
  /** Of a code cell. */
  readonly outputArea?: OutputArea;
}

/** A notebook's panel, likewise. */
export interface INotebook extends Widget {
  readonly content: {
    readonly widgets: readonly ICell[];
    readonly model: { readonly cells: { readonly changed: ISignal<unknown, unknown> } } | null;
    readonly modelChanged: ISignal<unknown, unknown>;
  };
  readonly sessionContext: { session: { kernel: { id: string } | null } | null };
}

export interface IMarksOptions {
  lines: Lines;
  known: KnownServer;
  /** What the server says of itself. */
  status: IStatusSource;
  /** Let the person connect. */
  connect: () => void;
  trans: TranslationBundle;
}

/** Mark the `%%torch` cells of all notebooks, open and to come. */
export function markCells(app: JupyterFrontEnd, options: IMarksOptions): void {
  let loading: Promise<Marks> | null = null;
  const withMarks = (use: (marks: Marks) => void) => {
    loading ??= import('./marks').then(({ Marks }) => new Marks(options));
    void loading.then(use);
  };
  options.lines.cellChanged.connect((_, change) => {
    // Without a `%%torch` cell in sight there is none to tell it to.
    void loading?.then(marks => marks.cellChanged(change));
  });
  app.docRegistry.addWidgetExtension('Notebook', {
    createNew: panel => {
      const notebook = panel as unknown as INotebook;
      follow(notebook, (cell, isTorch) => {
        withMarks(marks => (isTorch ? marks.add(notebook, cell) : marks.remove(cell)));
      });
    }
  });
}

/** Call `onChange` for each cell that is, or has become, one that starts with `%%torch`, or is none
 * any more. */
function follow(notebook: INotebook, onChange: (cell: ICell, isTorch: boolean) => void): void {
  const { content } = notebook;
  const known = new WeakMap<ICell, boolean>();
  const look = (cell: ICell) => {
    const isTorch =
      cell.model?.type === 'code' && magicLineOf(cell.model.sharedModel.getSource()) !== null;
    if (isTorch !== (known.get(cell) ?? false)) {
      known.set(cell, isTorch);
      onChange(cell, isTorch);
    }
  };
  const lookAtAll = () => {
    for (const cell of content.widgets) {
      if (!known.has(cell)) {
        known.set(cell, false);
        cell.model.sharedModel.changed.connect((_, { sourceChange }) => {
          if (sourceChange) {
            look(cell);
          }
        });
        look(cell);
      }
    }
  };
  // The notebook has made its own widgets for them by then: it listens since before.
  const followModel = () => {
    content.model?.cells.changed.connect(lookAtAll);
    lookAtAll();
  };
  content.modelChanged.connect(followModel);
  followModel();
}
