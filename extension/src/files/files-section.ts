/** What lies in the session's folder, and files on their way there and back. */

import 'jupyterlite-torch-style/files.css';

import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { MimeData } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { size } from '../amounts';
import type { IServer } from '../messages';
import { dragRow } from './drag-row';
import { DriveSink, driveSource, LocalSource } from './drive-file';
import { FileError, type IEntry, SessionFiles, type Moved } from './session-files';

/** What JupyterLab's file browser has in its drags: paths of the drive. */
const CONTENTS_MIME = 'application/x-jupyter-icontents';

export interface IFilesSectionOptions {
  contents: Contents.IManager;
  /** The server of the page. */
  server: () => IServer | null;
  /** The session of the notebook in front. */
  session: () => string | null;
  /** The folder of the drive in which files are put that come. */
  folder: () => string;
  trans: TranslationBundle;
}

/** A file on its way. */
type Move = (files: SessionFiles, signal: AbortSignal, moved: Moved) => Promise<void>;

export class FilesSection extends Widget {
  constructor(private readonly _options: IFilesSectionOptions) {
    super();
    this.addClass('jp-Torch-files');
    const { trans } = _options;
    this._where = make('span', { className: 'jp-Torch-files-where' });
    const choose = make('input', { type: 'file', multiple: true, hidden: true });
    choose.addEventListener('change', () => {
      this._putLocal(choose.files);
      choose.value = '';
    });
    const put = button(trans.__('Put files…'), () => choose.click());
    put.title = trans.__('Files of this computer, into the session’s folder');
    const refresh = button(trans.__('Refresh'), () => void this.refresh());
    this._list = make('ul', { className: 'jp-Torch-files-list' });
    this._list.setAttribute('aria-label', trans.__('Files in the session’s folder'));
    this._said = make('p', { className: 'jp-Torch-files-said' });
    this._said.setAttribute('role', 'status');
    this._moves = make('div', { className: 'jp-Torch-files-moves' });
    const hint = make('p', {
      className: 'jp-Torch-files-hint',
      textContent: trans.__('Drop files here to put them into the session’s folder.')
    });
    const buttons = make('div', { className: 'jp-Torch-files-buttons' });
    buttons.append(put, refresh, choose);
    const title = make('strong', { textContent: trans.__('Folder of the session') });
    this.node.append(title, this._where, buttons, this._said, this._list, hint, this._moves);
  }

  /** Ask the server again what there is. */
  async refresh(): Promise<void> {
    const { trans } = this._options;
    const files = this._files();
    const number = ++this._asked;
    this._signal.abort();
    this._signal = new AbortController();
    if (!files) {
      this._show(
        [],
        '',
        trans.__('Open a notebook that is connected, and run a %1 cell in it.', '%%torch')
      );
      return;
    }
    try {
      const { folder, entries, more } = await files.list(this._folder, this._signal.signal);
      if (number === this._asked) {
        const said = more ? trans.__('There are more files than these.') : '';
        this._show(entries, folder, entries.length || said ? said : trans.__('Nothing is in it.'));
      }
    } catch (error) {
      if (number === this._asked && !this.isDisposed) {
        this._show([], '', sentence(error));
      }
    }
  }

  override dispose(): void {
    this._signal.abort();
    this._running.forEach(abort => abort.abort());
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    for (const type of EVENTS) {
      this.node.addEventListener(type, this);
    }
    void this.refresh();
  }

  protected override onBeforeDetach(message: Message): void {
    for (const type of EVENTS) {
      this.node.removeEventListener(type, this);
    }
    super.onBeforeDetach(message);
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.refresh();
  }

  /** What is dragged over it: out of JupyterLab's file browser, or from the desktop. */
  handleEvent(event: Event): void {
    if (event instanceof DragEvent && 'mimeData' in event) {
      this._onLuminoDrag(event as DragEvent & ILuminoDrag);
    } else if (event instanceof DragEvent && event.dataTransfer?.types.includes('Files')) {
      event.preventDefault();
      event.stopPropagation();
      event.dataTransfer.dropEffect = 'copy';
      this.toggleClass('jp-mod-dropTarget', event.type === 'dragover');
      if (event.type === 'drop') {
        this._putLocal(event.dataTransfer.files);
      }
    } else if (event.type === 'dragleave') {
      this.removeClass('jp-mod-dropTarget');
    }
  }

  private _onLuminoDrag(event: DragEvent & ILuminoDrag): void {
    if (!event.mimeData.hasData(CONTENTS_MIME)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    event.dropAction = event.proposedAction;
    this.toggleClass('jp-mod-dropTarget', !['lm-dragleave', 'lm-drop'].includes(event.type));
    if (event.type === 'lm-drop') {
      const { contents, trans } = this._options;
      for (const path of event.mimeData.getData(CONTENTS_MIME) as string[]) {
        const name = path.slice(path.lastIndexOf('/') + 1).replace(/^[^:/]*:/, '');
        const there = this._there(name);
        this._begin(trans.__('%1 to the server', name), async (files, signal, moved) =>
          files.put(there, await driveSource(contents, path, trans), signal, moved)
        );
      }
    }
  }

  private _putLocal(chosen: FileList | null): void {
    const { trans } = this._options;
    for (const file of chosen ?? []) {
      const there = this._there(file.name);
      this._begin(trans.__('%1 to the server', file.name), (files, signal, moved) =>
        files.put(there, new LocalSource(file, trans), signal, moved)
      );
    }
  }

  private _get(name: string): void {
    const { contents, folder, trans } = this._options;
    const there = this._there(name);
    const here = folder() ? `${folder()}/${name}` : name;
    this._begin(trans.__('%1 from the server', name), async (files, signal, moved) => {
      const sink = new DriveSink(contents, here, trans);
      await files.get(there, sink, signal, moved);
      signal.throwIfAborted();
      await sink.end();
    });
  }

  private _there(name: string): string {
    return this._folder ? `${this._folder}/${name}` : name;
  }

  /** Move a file once those before it are done, with a bar. */
  private _begin(label: string, move: Move): void {
    const { trans } = this._options;
    const files = this._files();
    const abort = new AbortController();
    const bar = make('progress', { max: 1, value: 0 });
    bar.setAttribute('aria-label', label);
    const row = make('div', { className: 'jp-Torch-files-move' });
    const text = make('div', { className: 'jp-Torch-files-text' });
    const said = make('span', { textContent: label, title: label });
    const done = make('small', { textContent: trans.__('waits') });
    text.append(said, bar, done);
    const cancel = button(trans.__('Cancel'), () => abort.abort());
    row.append(text, cancel);
    this._moves.append(row);
    this._running.add(abort);
    const run = async () => {
      try {
        abort.signal.throwIfAborted();
        if (!files) {
          throw new FileError(trans.__('This notebook is not connected to a server.'));
        }
        done.textContent = '';
        await move(files, abort.signal, (moved, total) => {
          bar.max = Math.max(1, total);
          bar.value = total ? moved : 1;
          done.textContent = trans.__('%1 of %2', size(moved), size(total));
        });
        row.remove();
      } catch (error) {
        if (abort.signal.aborted) {
          row.remove();
        } else {
          bar.remove();
          done.remove();
          row.setAttribute('role', 'alert');
          row.classList.add('jp-Torch-fault');
          said.textContent = sentence(error);
          cancel.textContent = trans.__('Close');
          cancel.addEventListener('click', () => row.remove());
        }
      }
      this._running.delete(abort);
      if (!this.isDisposed) {
        await this.refresh();
      }
    };
    this._last = this._last.then(run);
  }

  private _files(): SessionFiles | null {
    const { server, session, trans } = this._options;
    const [known, id] = [server(), session()];
    return known && id ? new SessionFiles(known, id, trans) : null;
  }

  private _show(entries: IEntry[], where: string, said: string): void {
    const { trans } = this._options;
    this._where.textContent = where;
    this._said.textContent = said;
    const rows = entries.map(entry => this._row(entry));
    if (this._folder) {
      const up = button('..', () => this._open(this._folder.split('/').slice(0, -1).join('/')));
      up.setAttribute('aria-label', trans.__('The folder above'));
      const row = make('li', {});
      row.append(up);
      rows.unshift(row);
    }
    this._list.replaceChildren(...rows);
  }

  private _row({ name, folder, bytes, modified }: IEntry): HTMLElement {
    const { trans } = this._options;
    const row = make('li', {});
    if (folder) {
      row.append(button(`${name}/`, () => this._open(this._there(name))));
      return row;
    }
    const date = new Date(modified * 1000);
    const get = button(trans.__('Get'), () => this._get(name));
    get.setAttribute('aria-label', trans.__('Get %1', name));
    get.title = trans.__('Into the folder that the file browser shows');
    const text = make('div', { className: 'jp-Torch-files-text' });
    text.append(
      make('span', { className: 'jp-Torch-files-name', textContent: name, title: name }),
      make('small', { textContent: `${size(bytes)} · ${date.toLocaleString()}` })
    );
    row.append(text, get);
    dragRow(row, name, () => this._get(name));
    return row;
  }

  private _open(folder: string): void {
    this._folder = folder;
    void this.refresh();
  }

  private readonly _where: HTMLElement;
  private readonly _list: HTMLElement;
  private readonly _said: HTMLElement;
  private readonly _moves: HTMLElement;
  /** The folder that is shown, below the session's; empty for that. */
  private _folder = '';
  private _asked = 0;
  private _signal = new AbortController();
  private _running = new Set<AbortController>();
  private _last: Promise<void> = Promise.resolve();
}

const EVENTS = [
  'lm-dragenter',
  'lm-dragover',
  'lm-dragleave',
  'lm-drop',
  'dragover',
  'dragleave',
  'drop'
];

/** What an event of @lumino/dragdrop has beside a mouse's. */
interface ILuminoDrag {
  mimeData: MimeData;
  dropAction: string;
  proposedAction: string;
}

function sentence(error: unknown): string {
  return error instanceof FileError ? error.message : String(error);
}

function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]>
): HTMLElementTagNameMap[K] {
  return Object.assign(document.createElement(tag), properties);
}

function button(label: string, onClick: () => void): HTMLButtonElement {
  const made = make('button', { type: 'button', className: 'jp-mod-styled', textContent: label });
  made.addEventListener('click', onClick);
  return made;
}
