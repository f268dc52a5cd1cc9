/** One file between the page's drive and a session's folder. */

import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { DriveSink, driveSource } from './drive-file';
import type { Moved, SessionFiles } from './session-files';

export interface ITransfer {
  direction: 'put' | 'get';
  /** The path in the drive. */
  here: string;
  /** The name in the session's folder. */
  there: string;
}

/** Move a file; FileError with a sentence for the person, or what `signal` was aborted with. */
export async function transfer(
  { direction, here, there }: ITransfer,
  files: SessionFiles,
  contents: Contents.IManager,
  signal: AbortSignal,
  moved: Moved,
  trans: TranslationBundle
): Promise<void> {
  if (direction === 'put') {
    await files.put(there, await driveSource(contents, here, trans), signal, moved);
  } else {
    const sink = new DriveSink(contents, here, trans);
    await files.get(there, sink, signal, moved);
    signal.throwIfAborted();
    await sink.end();
  }
}
