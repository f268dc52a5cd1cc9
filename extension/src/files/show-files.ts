/** The session's folder in the right sidebar. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { KnownServer } from '../connect/known-server';
import { kernelOf } from '../kernels/kernel-of';
import type { Lines } from '../kernels/lines';
import { FilesSection, type IFilesSectionOptions } from './files-section';

/** What notebooks and consoles have in common. */
interface IWithPath {
  sessionContext?: { path: string };
}

/** JupyterLab's file browser, of a package that this extension needs for nothing else. */
interface IFileBrowser {
  model?: { path?: string };
}

/** What a FilesSection needs, for the notebook in front. */
export function filesOptions(
  app: JupyterFrontEnd,
  known: KnownServer,
  lines: Lines,
  trans: TranslationBundle
): IFilesSectionOptions {
  return {
    contents: app.serviceManager.contents,
    server: () => known.get(),
    session: () => {
      const kernel = kernelOf(app.shell.currentWidget);
      return kernel === null ? null : lines.sessionOf(kernel);
    },
    folder: () => {
      const browser = [...app.shell.widgets('left')].find(widget => widget.id === 'filebrowser');
      const notebook = app.shell.currentWidget as IWithPath | null;
      return (
        (browser as IFileBrowser | undefined)?.model?.path ??
        PathExt.dirname(notebook?.sessionContext?.path ?? '')
      );
    },
    trans
  };
}

let section: FilesSection | null = null;

/** Show it, and what is in it now. */
export async function showFiles(
  app: JupyterFrontEnd,
  options: IFilesSectionOptions
): Promise<void> {
  if (!section || section.isDisposed) {
    section = new FilesSection(options);
    section.id = 'jupyterlite-torch-files';
    section.title.label = options.trans.__('Session folder');
    section.title.closable = true;
    app.shell.add(section, 'right');
  }
  app.shell.activateById(section.id);
  await section.refresh();
}
