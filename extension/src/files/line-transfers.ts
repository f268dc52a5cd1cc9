/** Files that notebooks move with `%torch put` and `%torch get`. */

import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { KnownServer } from '../connect/known-server';
import type { Line } from '../kernels/line';
import type { IFileTransfer } from '../messages';
import { FileError, SessionFiles } from './session-files';
import { transfer } from './transfer';

export class LineTransfers {
  constructor(
    private readonly _contents: Contents.IManager,
    private readonly _server: KnownServer,
    private readonly _trans: TranslationBundle
  ) {}

  /** Move a file, and tell the worker how far it is. `location`: where the notebook is. */
  async move(line: Line, wanted: IFileTransfer, location: string): Promise<void> {
    const { id } = wanted;
    const abort = new AbortController();
    this._running.set(id, abort);
    const drive = this._contents.driveName(location);
    const server = this._server.get();
    let size = 0;
    let error: string | null = null;
    try {
      if (!server) {
        throw new FileError(this._trans.__('This page is not connected to a server.'));
      }
      await transfer(
        { ...wanted, here: drive ? `${drive}:${wanted.here}` : wanted.here },
        new SessionFiles(server, line.session, this._trans),
        this._contents,
        abort.signal,
        (done, total) => {
          size = total;
          this._tell(line, { type: 'moved', id, done, total });
          if (line.closed) {
            abort.abort();
          }
        },
        this._trans
      );
    } catch (reason) {
      error = reason instanceof FileError ? reason.message : String(reason);
    }
    this._running.delete(id);
    this._tell(line, { type: 'file', id, outcome: { size, error } });
  }

  /** Stop one. */
  withdraw(id: string): void {
    this._running.get(id)?.abort();
  }

  private _tell(line: Line, message: Parameters<Line['send']>[0]): void {
    if (!line.closed) {
      line.send(message);
    }
  }

  /** By the random ids that workers give them. */
  private _running = new Map<string, AbortController>();
}
