/** The server that the page is connected to, and its sessions. */

import { Dialog, InputDialog, showDialog } from '@jupyterlab/apputils';

import { age } from '../amounts';
import { CONNECT } from '../commands';
import { describe } from '../status/status-item';
import { hostOf } from '../connect/address';
import { ControlError, type ISessionEntry } from './control';
import { button, say, statusLine, toolbar } from './controls';
import { Section, type IPanel } from './section';
import { Table } from './table';

/** Characters that the proxy takes (`MAX_NAME` of its control.py). */
const LONGEST_NAME = 80;

export class ServerSection extends Section {
  constructor(panel: IPanel) {
    super(panel, panel.trans.__('Server and sessions'));
    this.addClass('jp-Torch-server');
    const { app, lines, trans } = panel;
    this._connect = button(
      trans.__('Connect…'),
      trans.__('Connect this page to a server'),
      () => void app.commands.execute(CONNECT)
    );
    this._disconnect = button(
      trans.__('Disconnect'),
      trans.__('Leave the server; what runs there goes on'),
      () => lines.disconnect()
    );
    this._check = button(
      trans.__('Check the connection'),
      trans.__('Say whether anything is wrong between this page and the server'),
      () => void this._examine()
    );
    this._where.className = 'jp-Torch-where';
    this._report.className = 'jp-Torch-report';
    this._report.setAttribute('role', 'status');
    this._report.hidden = true;
    this._sessions = this._makeTable();
    this._sessions.selectionChanged.connect(() => this._enable());
    this._actions = {
      attach: this._action(
        trans.__('Attach'),
        trans.__('The notebook in front goes on with this session'),
        session => this._attach(session)
      ),
      rename: this._action(trans.__('Rename…'), trans.__('Give this session a name'), session =>
        this._rename(session)
      ),
      interrupt: this._action(
        trans.__('Interrupt'),
        trans.__('Stop the cell that runs in this session'),
        session => this._interrupt(session)
      ),
      restart: this._action(
        trans.__('Restart…'),
        trans.__('A fresh kernel for this session; its variables are gone'),
        session => this._restart(session)
      ),
      shutDown: this._action(
        trans.__('Shut down…'),
        trans.__('End this session and its kernel'),
        session => this._shutDown(session)
      )
    };
    this.node.append(
      this._where,
      toolbar(trans.__('Server'), this._connect, this._disconnect, this._check),
      this._report,
      this._sessions.node,
      toolbar(trans.__('The selected session'), ...Object.values(this._actions)),
      this._said
    );
    this._enable();
  }

  override refresh(): void {
    const { status, trans } = this.panel;
    const connected = status.state !== 'off';
    this._where.textContent =
      status.state === 'on'
        ? trans.__('Connected to %1', hostOf(status.url))
        : connected
          ? describe(status, performance.now(), trans)
          : trans.__('Not connected to a server.');
    this._where.classList.toggle(
      'jp-Torch-fault',
      status.state === 'lost' || status.state === 'refused'
    );
    this._connect.textContent = connected ? trans.__('Another server…') : trans.__('Connect…');
    this._disconnect.disabled = this._check.disabled = !connected;
    const url = 'url' in status ? status.url : null;
    if (url !== this._url) {
      this._url = url;
      this._report.hidden = true;
      this._show([]);
    }
    if (status.state === 'on' && this._asked === null) {
      this._asked = this._ask().finally(() => {
        this._asked = null;
      });
    }
  }

  override dispose(): void {
    this._sessions.dispose();
    super.dispose();
  }

  private async _ask(): Promise<void> {
    const url = this._url;
    try {
      const sessions = await this.panel.control.sessions();
      if (url === this._url) {
        this._show(sessions);
      }
    } catch (error) {
      // That a server is gone is said above.
      if (!(error instanceof ControlError)) {
        throw error;
      }
    }
  }

  private _show(sessions: ISessionEntry[]): void {
    if (this.isDisposed) {
      return;
    }
    const front = this.panel.session;
    this._sessions.setRows(sessions);
    const isThere = sessions.some(({ id }) => id === front);
    if (front !== this._front && isThere) {
      this._front = front;
      this._sessions.select(front);
    }
    this._enable();
  }

  private _makeTable(): Table<ISessionEntry> {
    const { trans } = this.panel;
    const seconds = ({ created }: ISessionEntry) => (Date.now() - Date.parse(created)) / 1000;
    return new Table<ISessionEntry>({
      label: trans.__('Sessions of the server'),
      columns: [
        { label: trans.__('Session'), text: session => this._named(session), width: 13.5 },
        { label: trans.__('State'), text: session => this._stateOf(session), width: 5.5 },
        {
          label: trans.__('Age'),
          text: entry => age(seconds(entry)),
          order: seconds,
          numeric: true,
          width: 4.5
        },
        {
          label: trans.__('Pages'),
          text: ({ listeners }) => String(listeners),
          order: ({ listeners }) => listeners,
          numeric: true,
          width: 5
        },
        { label: trans.__('Kernel'), text: ({ kernel }) => kernel, width: 8 }
      ],
      key: ({ id }) => id,
      sortBy: 2,
      empty: trans.__('No sessions: one begins with the first %1 cell of a notebook.', '%%torch'),
      trans
    });
  }

  private _named(session: ISessionEntry): string {
    const name = nameOf(session);
    return session.id === this.panel.session
      ? this.panel.trans.__('%1 (this notebook)', name)
      : name;
  }

  private _stateOf({ state, cell_s, queued }: ISessionEntry): string {
    const { trans } = this.panel;
    const text = cell_s === null ? state : trans.__('%1 %2', state, age(cell_s));
    return queued ? trans.__('%1, %2 waiting', text, String(queued)) : text;
  }

  private _action(
    label: string,
    title: string,
    act: (session: ISessionEntry) => Promise<void>
  ): HTMLButtonElement {
    return button(label, title, () => {
      const session = this._sessions.selected;
      if (session) {
        void act(session);
      }
    });
  }

  private _enable(): void {
    const session = this._sessions.selected;
    for (const action of Object.values(this._actions)) {
      action.disabled = session === null;
    }
    this._actions.attach.disabled ||=
      this.panel.kernel === null || session?.id === this.panel.session;
  }

  private async _interrupt(session: ISessionEntry): Promise<void> {
    await this._do(
      this.panel.trans.__('Interrupted %1.', nameOf(session)),
      this.panel.control.interrupt(session.id)
    );
  }

  private async _restart(session: ISessionEntry): Promise<void> {
    const { control, trans } = this.panel;
    const body = trans.__(
      'The kernel of %1 is replaced by a fresh one. Its variables are gone, and a cell that runs there ends with an error.',
      nameOf(session)
    );
    if (await this._confirm(trans.__('Restart the session?'), body, trans.__('Restart'))) {
      say(this._said, trans.__('Restarting %1…', nameOf(session)));
      await this._do(trans.__('Restarted %1.', nameOf(session)), control.restart(session.id));
    }
  }

  private async _shutDown(session: ISessionEntry): Promise<void> {
    const { control, trans } = this.panel;
    const body = trans.__(
      '%1 ends with all its variables, and a cell that runs there ends with an error. Pages that use it are told with their next cell, and begin a new one.',
      nameOf(session)
    );
    if (await this._confirm(trans.__('Shut down the session?'), body, trans.__('Shut down'))) {
      await this._do(trans.__('Shut down %1.', nameOf(session)), control.shutDown(session.id));
    }
  }

  private async _rename(session: ISessionEntry): Promise<void> {
    const { control, trans } = this.panel;
    const { button, value } = await InputDialog.getText({
      title: trans.__('Name of the session'),
      label: trans.__('At most %1 characters; empty for none', String(LONGEST_NAME)),
      text: session.name,
      okLabel: trans.__('Rename')
    });
    if (button.accept) {
      const name = (value ?? '').trim();
      await this._do(
        name ? trans.__('It is called %1 now.', name) : trans.__('It has no name now.'),
        control.rename(session.id, name)
      );
    }
  }

  private async _attach(session: ISessionEntry): Promise<void> {
    const { kernel, lines, trans } = this.panel;
    const body = trans.__(
      'From its next cell on, the notebook in front uses the variables of %1. The session that it has had goes on without it.',
      nameOf(session)
    );
    const ask = this._confirm(trans.__('Attach the notebook?'), body, trans.__('Attach'), false);
    if (kernel !== null && (await ask)) {
      lines.attach(kernel, session.id);
      await this._do(trans.__('Attached to %1.', nameOf(session)), Promise.resolve());
    }
  }

  private async _confirm(
    title: string,
    body: string,
    label: string,
    warns = true
  ): Promise<boolean> {
    const make = warns ? Dialog.warnButton : Dialog.okButton;
    const cancel = Dialog.cancelButton({ label: this.panel.trans.__('Cancel') });
    return (await showDialog({ title, body, buttons: [cancel, make({ label })] })).button.accept;
  }

  /** Wait for an action, say what came of it, and show how things are then. */
  private async _do(done: string, action: Promise<void>): Promise<void> {
    try {
      await action;
      say(this._said, done);
    } catch (error) {
      say(this._said, error instanceof Error ? error.message : String(error), true);
    }
    this.panel.ask();
  }

  /** What there is to say of the connection, as `%torch doctor` says it. */
  private async _examine(): Promise<void> {
    this._report.textContent = this.panel.trans.__('Looking…');
    this._report.hidden = false;
    this._report.textContent = await this.panel.lines.examine(null);
  }

  private _where = document.createElement('div');
  private _report = document.createElement('div');
  private _said = statusLine();
  private _connect: HTMLButtonElement;
  private _disconnect: HTMLButtonElement;
  private _check: HTMLButtonElement;
  private _actions: Record<
    'attach' | 'rename' | 'interrupt' | 'restart' | 'shutDown',
    HTMLButtonElement
  >;
  private _sessions: Table<ISessionEntry>;
  /** The server whose sessions are shown. */
  private _url: string | null = null;
  /** The session that was selected because its notebook came to the front. */
  private _front: string | null = null;
  private _asked: Promise<void> | null = null;
}

function nameOf({ name, id }: ISessionEntry): string {
  return name || id.slice(0, 6);
}
