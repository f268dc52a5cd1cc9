/** Files of the page's drive as sources and sinks. */

import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { fromBase64, toBase64 } from './base64';
import { FileError, type ISink, type ISource } from './session-files';

/**
 * The largest file that the drive takes.
 *
 * JupyterLite 0.8.6 keeps a file as one value of IndexedDB, in base64, and Chromium 156 takes values
 * of 133,169,152 bytes at most.
 */
export const MAX_DRIVE_BYTES = 95 * 2 ** 20;

/** Open a file of the drive. FileError when there is none. */
export async function driveSource(
  contents: Contents.IManager,
  path: string,
  trans: TranslationBundle
): Promise<ISource> {
  const kept = drivePath(path, trans);
  let model: Contents.IModel;
  try {
    model = await contents.get(kept, { content: true });
  } catch {
    throw new FileError(
      trans.__('There is no file `%1` in this page’s drive, which the file browser shows.', path)
    );
  }
  if (model.type === 'directory') {
    throw new FileError(
      trans.__('`%1` is a folder. Pack it first, for example with `shutil.make_archive`.', path)
    );
  }
  if (model.format === 'base64') {
    return new Base64Source(model.content);
  }
  const { content } = model;
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  return new BytesSource(new TextEncoder().encode(text));
}

/** A name that JupyterLite 0.8.6 keeps as it is: it decodes `%41` to `A`, and fails for `100%`. */
function drivePath(path: string, trans: TranslationBundle): string {
  if (path.includes('%')) {
    throw new FileError(
      trans.__('JupyterLite can not keep a file with a `%` in its name: `%1`.', path)
    );
  }
  return path;
}

class BytesSource implements ISource {
  constructor(private readonly _bytes: Uint8Array<ArrayBuffer>) {}

  get size(): number {
    return this._bytes.length;
  }

  async slice(start: number, stop: number): Promise<Uint8Array<ArrayBuffer>> {
    return this._bytes.slice(start, stop);
  }
}

class Base64Source implements ISource {
  constructor(text: unknown) {
    this._text = String(text ?? '');
    const padding = this._text.endsWith('==') ? 2 : this._text.endsWith('=') ? 1 : 0;
    this.size = (this._text.length / 4) * 3 - padding;
  }

  readonly size: number;

  async slice(start: number, stop: number): Promise<Uint8Array<ArrayBuffer>> {
    const first = Math.floor(start / 3);
    const letters = this._text.slice(first * 4, Math.ceil(stop / 3) * 4);
    const skip = start - first * 3;
    return fromBase64(letters).slice(skip, skip + stop - start);
  }

  private readonly _text: string;
}

/** A file of the person's computer. */
export class LocalSource implements ISource {
  constructor(
    private readonly _file: File,
    private readonly _trans: TranslationBundle
  ) {}

  get size(): number {
    return this._file.size;
  }

  async slice(start: number, stop: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return new Uint8Array(await this._file.slice(start, stop).arrayBuffer());
    } catch {
      throw new FileError(
        this._trans.__(
          '`%1` can not be read: it is a folder, or was changed meanwhile.',
          this._file.name
        )
      );
    }
  }
}

/** Collects a file for the drive, which takes it as a whole: what was there before stays until then. */
export class DriveSink implements ISink {
  constructor(
    private readonly _contents: Contents.IManager,
    private readonly _path: string,
    private readonly _trans: TranslationBundle
  ) {}

  async begin(size: number): Promise<void> {
    const { _path: path, _trans: trans } = this;
    drivePath(path, trans);
    if (size > MAX_DRIVE_BYTES) {
      throw new FileError(
        trans.__(
          '`%1` has %2, and a file in the browser’s drive can have %3 at most. Read what you need of it in a cell on the server.',
          path,
          mebibytes(size),
          mebibytes(MAX_DRIVE_BYTES)
        )
      );
    }
    const there = await this._contents.get(path).catch(() => null);
    if (there?.type === 'directory') {
      throw new FileError(
        trans.__('`%1` is a folder in this page’s drive. Name a file: `%1/NAME`.', path)
      );
    }
    const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (folder && (await this._contents.get(folder).catch(() => null))?.type !== 'directory') {
      throw new FileError(
        trans.__('There is no folder `%1` in this page’s drive. Make it first.', folder)
      );
    }
    const { quota, usage } = (await navigator.storage?.estimate?.()) ?? {};
    if (quota !== undefined && (size * 4) / 3 > quota - (usage ?? 0)) {
      throw new FileError(
        trans.__(
          '`%1` has %2, and this browser has no room for so much more of this site. Delete files of the drive, then try again.',
          path,
          mebibytes(size)
        )
      );
    }
  }

  write(bytes: Uint8Array): void {
    this._parts.push(toBase64(bytes));
  }

  /** Put it into the drive. */
  async end(): Promise<void> {
    const content = this._parts.join('');
    this._parts = [];
    try {
      await this._contents.save(this._path, { type: 'file', format: 'base64', content });
    } catch (error) {
      throw new FileError(
        this._trans.__(
          'The browser’s drive can not keep `%1` (%2). What was there before is still there.',
          this._path,
          String(error)
        )
      );
    }
  }

  private _parts: string[] = [];
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}
