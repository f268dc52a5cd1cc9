/** The variables of the session of the notebook in front. */

import { Dialog, showDialog } from '@jupyterlab/apputils';

import { size } from '../amounts';
import { ControlError, type IVariable } from './control';
import { button, say, statusLine, toolbar } from './controls';
import { runInNewCell } from './notebook-cell';
import { Section, type IPanel } from './section';
import { Table } from './table';

/** While a cell runs they are asked for so often. */
const BUSY_MS = 5000;

export class VariablesSection extends Section {
  constructor(panel: IPanel) {
    super(panel, panel.trans.__('Variables'));
    this.addClass('jp-Torch-variables');
    const { trans } = panel;
    this._filter.type = 'search';
    this._filter.className = 'jp-mod-styled';
    this._filter.placeholder = trans.__('Filter');
    this._filter.setAttribute(
      'aria-label',
      trans.__('Show variables with this in their name or type')
    );
    this._filter.addEventListener('input', () => this._show());
    const again = button(trans.__('Refresh'), trans.__('Ask for the variables again'), () => {
      this._shown = '';
      this.refresh();
    });
    const top = document.createElement('div');
    top.className = 'jp-Torch-filter';
    this._number.title = trans.__('How many there are');
    top.append(this._filter, this._number, again);
    this._table = this._makeTable();
    this._table.selectionChanged.connect(() => this._showSelected());
    this._table.opened.connect(() => void this._preview());
    this._actions = [
      this._action(trans.__('Preview'), trans.__('Show its beginning as text'), () =>
        this._preview()
      ),
      this._action(trans.__('Copy name'), trans.__('Copy its name'), name => this._copy(name)),
      this._action(
        trans.__('Fetch'),
        trans.__('Run a cell below the active one that brings it here'),
        name => this._fetch(name)
      ),
      this._action(trans.__('Delete…'), trans.__('Delete it in the session'), name =>
        this._delete(name)
      )
    ];
    this._text.className = 'jp-Torch-preview';
    this._text.tabIndex = 0;
    this._text.setAttribute('role', 'region');
    this._text.setAttribute('aria-label', trans.__('Preview of the selected variable'));
    this.node.append(
      top,
      this._table.node,
      toolbar(trans.__('The selected variable'), ...this._actions),
      this._text,
      this._said
    );
    this._showSelected();
  }

  override refresh(): void {
    const { session, status } = this.panel;
    if (status.state !== 'on' && status.state !== 'off') {
      // What was known last stays in view until there is an answer.
      return;
    }
    const there = status.state === 'on' && session !== null ? status.session : null;
    if (session === null || there === null) {
      this._session = null;
      this._shown = '';
      this._take([], 0);
      return;
    }
    if (session !== this._session) {
      this._session = session;
      this._take([], 0);
      say(this._said, '');
    }
    // What runs may make some at any time; else nothing changes until something happens there.
    const busy = there.state === 'busy';
    const now = busy ? Math.floor(performance.now() / BUSY_MS) : -there.seq;
    const wanted = JSON.stringify([session, there.generation, now]);
    if (wanted !== this._shown && this._asked === null) {
      this._shown = wanted;
      this._asked = this._ask(session).finally(() => {
        this._asked = null;
      });
    }
  }

  override dispose(): void {
    this._table.dispose();
    super.dispose();
  }

  private async _ask(session: string): Promise<void> {
    try {
      const { variables, count } = await this.panel.control.variables(session);
      if (session === this._session && !this.isDisposed) {
        this._take(variables, count);
        if (this._isFault) {
          this._tell('');
        }
      }
    } catch (error) {
      // Asked again with the next answer of the server.
      this._shown = '';
      this._fault(error);
    }
  }

  private _take(variables: IVariable[], count: number): void {
    this._variables = variables;
    this._count = count;
    this._show();
  }

  private _show(): void {
    const { trans } = this.panel;
    const wanted = this._filter.value.trim().toLowerCase();
    const rows = wanted
      ? this._variables.filter(variable =>
          `${variable.name}\n${variable.type}\n${variable.dtype ?? ''}`
            .toLowerCase()
            .includes(wanted)
        )
      : this._variables;
    this._table.setRows(rows);
    this._number.textContent =
      rows.length === this._count
        ? String(this._count)
        : trans.__('%1 of %2', String(rows.length), String(this._count));
  }

  private _makeTable(): Table<IVariable> {
    const { trans } = this.panel;
    return new Table<IVariable>({
      label: trans.__('Variables of the session of the notebook in front'),
      columns: [
        { label: trans.__('Name'), text: ({ name }) => name, width: 6.5 },
        {
          label: trans.__('Size'),
          text: ({ bytes }) => (bytes === null ? '' : size(bytes)),
          order: ({ bytes }) => bytes ?? -1,
          numeric: true,
          width: 5.5
        },
        { label: trans.__('Type'), text: ({ dtype, type }) => dtype ?? type, width: 6 },
        {
          label: trans.__('Shape'),
          text: ({ shape }) => (shape ? `(${shape.join(', ')})` : ''),
          order: ({ shape }) => (shape ? shape.reduce((a, b) => a * b, 1) : -1),
          width: 8
        },
        { label: trans.__('Device'), text: ({ device }) => device ?? '', width: 6 },
        {
          label: trans.__('Gradient'),
          text: ({ requires_grad }) => (requires_grad ? trans.__('yes') : ''),
          width: 6
        }
      ],
      key: ({ name }) => name,
      sortBy: 1,
      empty: trans.__(
        'Nothing to show: the session of the notebook in front has no such variables.'
      ),
      trans
    });
  }

  private _action(
    label: string,
    title: string,
    act: (name: string) => Promise<void>
  ): HTMLButtonElement {
    return button(label, title, () => {
      const name = this._table.selected?.name;
      if (name !== undefined) {
        act(name).catch((error: unknown) => this._fault(error));
      }
    });
  }

  private _showSelected(): void {
    const name = this._table.selected?.name;
    for (const action of this._actions) {
      action.disabled = name === undefined;
    }
    if (name !== this._previewed) {
      this._previewed = undefined;
      this._text.textContent = '';
    }
  }

  private async _preview(): Promise<void> {
    const { control, trans } = this.panel;
    const { name } = this._table.selected ?? {};
    const session = this._session;
    if (name === undefined || session === null) {
      return;
    }
    this._previewed = name;
    try {
      const { text, truncated } = await control.preview(session, name);
      if (this._table.selected?.name === name) {
        this._text.textContent = truncated ? trans.__('%1… (cut)', text) : text;
        this._tell('');
      }
    } catch (error) {
      this._text.textContent = '';
      this._fault(error);
    }
  }

  private async _copy(name: string): Promise<void> {
    await navigator.clipboard.writeText(name);
    this._tell(this.panel.trans.__('Copied %1.', name));
  }

  private async _fetch(name: string): Promise<void> {
    const { app, trans } = this.panel;
    const ran = await runInNewCell(app, `%%torch -o ${name}\n`);
    this._tell(
      ran
        ? trans.__('A cell of the notebook fetches %1.', name)
        : trans.__('Bring a notebook to the front first: a cell of it fetches %1.', name),
      !ran
    );
  }

  private async _delete(name: string): Promise<void> {
    const { control, trans } = this.panel;
    const session = this._session;
    const { button } = await showDialog({
      title: trans.__('Delete %1?', name),
      body: trans.__(
        'It is deleted in the session now. If a notebook has it too, it is deleted there with its next %1 cell, as %2 in such a cell does.',
        '%%torch',
        `del ${name}`
      ),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.warnButton({ label: trans.__('Delete') })
      ]
    });
    if (!button.accept || session === null) {
      return;
    }
    const deleted = await control.deleteVariables(session, [name]);
    this._tell(
      deleted.length ? trans.__('Deleted %1.', name) : trans.__('There is no %1 any more.', name)
    );
    this._shown = '';
    this.refresh();
  }

  private _tell(text: string, fault = false): void {
    this._isFault = fault;
    say(this._said, text, fault);
  }

  private _fault(error: unknown): void {
    if (!(error instanceof ControlError)) {
      console.error(error);
    }
    this._tell(error instanceof Error ? error.message : String(error), true);
  }

  private _filter = document.createElement('input');
  private _number = document.createElement('span');
  private _text = document.createElement('pre');
  private _said = statusLine();
  private _actions: HTMLButtonElement[];
  private _table: Table<IVariable>;
  private _variables: IVariable[] = [];
  private _count = 0;
  private _session: string | null = null;
  /** Of which moment the variables are. */
  private _shown = '';
  private _previewed: string | undefined;
  private _isFault = false;
  private _asked: Promise<void> | null = null;
}
