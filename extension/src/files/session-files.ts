/**
 * Files of a session's folder on the server, part by part.
 *
 * A part is one request, so that neither side holds more of a file, and what a broken line has cost
 * is asked for again.
 */

import type { TranslationBundle } from '@jupyterlab/translation';

import { resourceUrl } from '../connect/address';
import { randomId } from '../kernels/session-id';
import type { IServer } from '../messages';
import { crc32 } from './crc32';

/** A multiple of 3, for base64; the server takes 4 MiB. */
export const PART_BYTES = 3 * 2 ** 20;
/** After a part that did not pass: nginx takes bodies of 1 MiB as it comes, and a page can not read why
 * it was refused. */
const SMALL_PART_BYTES = 3 * 2 ** 18;
/** How often in a row a part is tried. */
const TRIES = 5;
const LIMIT_MS = 120_000;

export interface IEntry {
  name: string;
  folder: boolean;
  bytes: number;
  /** Seconds since 1970. */
  modified: number;
}

export interface IListing {
  /** Where it is on the server. */
  folder: string;
  entries: IEntry[];
  /** There are more than these. */
  more: boolean;
}

/** Where a file comes from. */
export interface ISource {
  readonly size: number;
  slice(start: number, stop: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** Where a file goes. */
export interface ISink {
  /** Throw a FileError if so many bytes do not fit. */
  begin(size: number): Promise<void>;
  write(bytes: Uint8Array): void;
}

export type Moved = (done: number, total: number) => void;

/** Its message is a sentence for the person. */
export class FileError extends Error {}

export class SessionFiles {
  constructor(
    private readonly _server: IServer,
    private readonly _session: string,
    private readonly _trans: TranslationBundle
  ) {}

  /** What lies in the folder, or in a folder of it. */
  async list(folder: string, signal: AbortSignal): Promise<IListing> {
    const ask = () =>
      this._ask(
        'GET',
        'files',
        folder,
        {},
        signal,
        async reply => (await reply.json()) as IListing
      );
    return this._persist(folder || '.', signal, ask);
  }

  /** Put a file there; it has its name when it is complete. */
  async put(name: string, source: ISource, signal: AbortSignal, moved: Moved): Promise<void> {
    const upload = { 'Torch-Upload': randomId() };
    let size = 0;
    let complete = false;
    let most = PART_BYTES;
    const putPart = async () => {
      const part = await source.slice(size, Math.min(size + most, source.size));
      const headers = {
        ...upload,
        'Torch-Start': String(size),
        'Torch-Total': String(source.size),
        'Torch-Crc32': String(crc32(part))
      };
      const read = (reply: Response) => reply.json();
      const asked = this._ask('PUT', 'file', name, headers, signal, read, part);
      const answer = await asked.catch(error => {
        most = SMALL_PART_BYTES;
        throw error;
      });
      const before = size;
      // What is there says where to go on, also after a cut.
      size = Math.min(Math.max(0, Number(answer.size) || 0), source.size);
      complete = answer.complete === true;
      moved(size, source.size);
      if (!complete && size <= before) {
        throw new Error('nothing of the part is there');
      }
    };
    try {
      while (!complete) {
        await this._persist(name, signal, putPart);
      }
    } catch (error) {
      this._ask(
        'DELETE',
        'file',
        name,
        upload,
        AbortSignal.timeout(LIMIT_MS),
        async () => {}
      ).catch(() => {});
      throw error;
    }
  }

  /** Fetch a file. */
  async get(name: string, sink: ISink, signal: AbortSignal, moved: Moved): Promise<void> {
    let done = 0;
    let total: number | null = null;
    const same: Record<string, string> = {};
    while (total === null || done < total) {
      await this._persist(name, signal, async () => {
        const headers = { ...same, Range: `bytes=${done}-${done + PART_BYTES - 1}` };
        await this._ask('GET', 'file', name, headers, signal, async reply => {
          if (total === null) {
            total = Number(reply.headers.get('Content-Range')?.split('/')[1] ?? 0);
            same['Torch-Identity'] = reply.headers.get('Torch-Identity') ?? '';
            await sink.begin(total);
            moved(0, total);
          }
          const bytes = new Uint8Array(await reply.arrayBuffer());
          if (
            bytes.length !== Math.min(PART_BYTES, total - done) ||
            crc32(bytes) !== Number(reply.headers.get('Torch-Crc32'))
          ) {
            throw new Error('the part has changed on its way');
          }
          sink.write(bytes);
          done += bytes.length;
          moved(done, total);
        });
      });
    }
  }

  /** Do it again after a broken line, but not for ever. */
  private async _persist<T>(name: string, signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await act();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof FileError) {
          throw error;
        }
        if (tries === TRIES) {
          throw new FileError(
            this._trans.__(
              'The connection broke while `%1` was on its way, and %2 tries to go on failed. Try again when the connection is back.',
              name,
              String(TRIES)
            )
          );
        }
        await new Promise(resolve => setTimeout(resolve, 200 * 2 ** tries));
        signal.throwIfAborted();
      }
    }
  }

  private async _ask<T>(
    method: string,
    resource: string,
    name: string,
    headers: Record<string, string>,
    signal: AbortSignal,
    read: (reply: Response) => Promise<T>,
    body?: Uint8Array<ArrayBuffer>
  ): Promise<T> {
    const reply = await fetch(resourceUrl(this._server.url, resource), {
      method,
      headers: {
        Authorization: `token ${this._server.token}`,
        'Torch-Session': this._session,
        'Torch-File': encodeURIComponent(name),
        ...headers
      },
      body: body ?? null,
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)])
    });
    if (!reply.ok) {
      const said = await reply.json().catch(() => null);
      // What is between here and the server says nothing in its form.
      throw typeof said?.message === 'string'
        ? new FileError(said.message)
        : new Error(`status ${reply.status}`);
    }
    try {
      return await read(reply);
    } catch (error) {
      reply.body?.cancel().catch(() => {});
      throw error;
    }
  }
}
