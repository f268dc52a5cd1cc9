/** The session's folder in the right sidebar. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import { FilesSection, type IFilesSectionOptions } from './files-section';

/** What notebooks and consoles have in common. */
interface IWithKernel {
  sessionContext?: { path: string; session: { kernel: { id: string } | null } | null };
}

/** JupyterLab's file browser, of a package that this extension needs for nothing else. */
interface IWithPath {
  model?: { path?: string };
}

/** What a FilesSection needs, for the notebook in front. */
export function filesOptions(
  app: JupyterFrontEnd,
  known: KnownServer,
  lines: Lines,
  trans: TranslationBundle
): IFilesSectionOptions {
  const context = () => (app.shell.currentWidget as IWithKernel | null)?.sessionContext;
  return {
    contents: app.serviceManager.contents,
    server: () => known.get(),
    session: () => {
      const kernel = context()?.session?.kernel;
      return kernel ? lines.sessionOf(kernel.id) : null;
    },
    folder: () => {
      const browser = [...app.shell.widgets('left')].find(widget => widget.id === 'filebrowser');
      return (
        (browser as IWithPath | undefined)?.model?.path ?? PathExt.dirname(context()?.path ?? '')
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
