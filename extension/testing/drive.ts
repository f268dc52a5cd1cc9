/** JupyterLab's own contents manager, over drives that keep their files in memory. */

import { ContentsManager, ServerConnection, type Contents } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

/** As much of a drive as is asked for here. */
export class MemoryDrive {
  constructor(readonly name = '') {}

  readonly serverSettings = ServerConnection.makeSettings();
  readonly fileChanged = new Signal<this, Contents.IChangedArgs>(this);
  /** By path. */
  readonly models = new Map<string, Partial<Contents.IModel>>();
  full = false;

  addFolder(path: string): void {
    this.models.set(path, { type: 'directory', format: 'json', content: [] });
  }

  addText(path: string, content: string): void {
    this.models.set(path, { type: 'file', format: 'text', content });
  }

  addBytes(path: string, bytes: Uint8Array): void {
    const content = Buffer.from(bytes).toString('base64');
    this.models.set(path, { type: 'file', format: 'base64', content });
  }

  /** What a file has; undefined without one. */
  bytes(path: string): Buffer | undefined {
    const model = this.models.get(path);
    return (
      model && Buffer.from(String(model.content), model.format === 'base64' ? 'base64' : 'utf8')
    );
  }

  async get(path: string): Promise<Contents.IModel> {
    const model = this.models.get(path);
    if (!model) {
      throw new Error(`Could not find content with path ${path}`);
    }
    return { path, ...model } as Contents.IModel;
  }

  async save(path: string, model: Partial<Contents.IModel>): Promise<Contents.IModel> {
    if (this.full) {
      throw new Error('QuotaExceededError');
    }
    this.models.set(path, model);
    return { path, ...model } as Contents.IModel;
  }
}

/** The contents of a page with these drives, of which the first is its own. */
export function makeContents(own: MemoryDrive, ...others: MemoryDrive[]): Contents.IManager {
  const manager = new ContentsManager({ defaultDrive: own as unknown as Contents.IDrive });
  others.forEach(drive => manager.addDrive(drive as unknown as Contents.IDrive));
  return manager;
}
