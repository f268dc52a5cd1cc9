/** What the panel's sections are, and what they are given. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import type { Status } from '../status/server-status';
import type { Control } from './control';

export interface IPanel {
  readonly app: JupyterFrontEnd;
  readonly known: KnownServer;
  readonly lines: Lines;
  readonly trans: TranslationBundle;
  /** Asks the server. */
  readonly control: Control;
  /** What the server has last said. */
  readonly status: Status;
  /** The local kernel of the notebook or console in front; null for none. */
  readonly kernel: string | null;
  /** The remote session of that kernel; null for none. */
  readonly session: string | null;
  /** Ask the server at once: something was changed. */
  ask(): void;
}

/** A part of the panel, with a title that folds it away. */
export interface ISection extends Widget {
  /**
   * Show how things are now: the server has answered, or another notebook is in front. It is called
   * every few seconds while the section can be seen, and never else.
   */
  refresh(): void;
}

/** One that asks the server itself. */
export abstract class Section extends Widget implements ISection {
  constructor(
    protected readonly panel: IPanel,
    label: string
  ) {
    super();
    this.title.label = label;
    this.addClass('jp-Torch-section');
  }

  abstract refresh(): void;
}
