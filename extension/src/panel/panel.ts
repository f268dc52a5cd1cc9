/** The panel: sections about the server and about the session of the notebook in front. */

import 'jupyterlite-torch-style/panel.css';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';

import type { KnownServer } from '../connect/known-server';
import { kernelOf } from '../kernels/kernel-of';
import type { Lines } from '../kernels/lines';
import { Transfers } from '../kernels/transfers';
import { ServerStatus, type Status } from '../status/server-status';
import { CellsSection } from './cells-section';
import { Control } from './control';
import { button } from './controls';
import { Fold } from './fold';
import { GpusSection } from './gpus-section';
import type { IPanel, ISection } from './section';
import { ServerSection } from './server-section';
import { TransfersSection } from './transfers-section';
import { VariablesSection } from './variables-section';

/** The sections from top to bottom; one more is one more line here. */
const SECTIONS: ((panel: IPanel) => ISection)[] = [
  panel => new ServerSection(panel),
  panel => new GpusSection(panel),
  panel => new VariablesSection(panel),
  panel => new CellsSection(panel, panel.trans),
  panel => new TransfersSection(new Transfers(panel.lines), panel.trans)
];

const ICON = new LabIcon({
  name: 'jupyterlite-torch:panel',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
    '<path class="jp-icon3" fill="#616161" d="M9 2v3H7a2 2 0 0 0-2 2v2H2v2h3v2H2v2h3v2a2 2 0 0 0 2 ' +
    '2h2v3h2v-3h2v3h2v-3h2a2 2 0 0 0 2-2v-2h3v-2h-3v-2h3V9h-3V7a2 2 0 0 0-2-2h-2V2h-2v3h-2V2H9zM7 ' +
    '7h10v10H7V7zm2 2v6h6V9H9z"/></svg>'
});

export class TorchPanel extends Panel implements IPanel {
  constructor(
    readonly app: JupyterFrontEnd,
    readonly known: KnownServer,
    readonly lines: Lines,
    readonly trans: TranslationBundle
  ) {
    super();
    this.id = 'jp-Torch-panel';
    this.addClass('jp-Torch-panel');
    this.title.icon = ICON;
    this.title.caption = trans.__('GPU server');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('GPU server'));
    this.control = new Control(known, trans);
    this._sections = SECTIONS.map(make => make(this));
    this._sections.forEach(section => {
      const fold = new Fold(section);
      fold.opened.connect(() => section.refresh());
      this.addWidget(fold);
    });
    app.shell.currentChanged?.connect(this.ask, this);
    this._refresh();
  }

  readonly control: Control;

  get status(): Status {
    const url = this.known.get()?.url;
    return (
      this._asking?.now ?? (url === undefined ? { state: 'off' } : { state: 'connecting', url })
    );
  }

  get kernel(): string | null {
    return kernelOf(this.app.shell.currentWidget);
  }

  get session(): string | null {
    return this.kernel === null ? null : this.lines.sessionOf(this.kernel);
  }

  ask(): void {
    this._asking?.ask();
  }

  /** Lie over the page until the person closes it, which disposes of it and is told. */
  float(onClose: () => void): void {
    const close = () => {
      this.dispose();
      onClose();
    };
    const bar = document.createElement('div');
    bar.className = 'jp-Torch-bar';
    bar.append(button(this.trans.__('Close'), this.trans.__('Close the panel'), close));
    this.insertWidget(0, new Widget({ node: bar }));
    this.addClass('jp-mod-floating');
    Widget.attach(this, document.body);
    bar.querySelector('button')?.focus();
  }

  override dispose(): void {
    this._stop();
    this.app.shell.currentChanged?.disconnect(this.ask, this);
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._begin();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this._begin();
    }
  }

  protected override onBeforeHide(message: Message): void {
    this._stop();
    super.onBeforeHide(message);
  }

  protected override onBeforeDetach(message: Message): void {
    this._stop();
    super.onBeforeDetach(message);
  }

  private _begin(): void {
    if (!this._asking) {
      this._asking = new ServerStatus(this.known, () => this.session);
      this._asking.changed.connect(this._refresh, this);
      this.lines.cellChanged.connect(this.ask, this);
      this._refresh();
    }
  }

  private _stop(): void {
    this.lines.cellChanged.disconnect(this.ask, this);
    this._asking?.dispose();
    this._asking = null;
  }

  private _refresh(): void {
    for (const section of this._sections) {
      if (!section.isHidden) {
        section.refresh();
      }
    }
  }

  private readonly _sections: ISection[];
  /** While the panel can be seen. */
  private _asking: ServerStatus | null = null;
}
