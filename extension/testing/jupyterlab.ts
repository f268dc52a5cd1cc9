/** What the tests need of JupyterLab and JupyterLite, as far as the sources look at them. */

import type { Contents, Session } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';
import type { IKernel, IKernelClient } from '@jupyterlite/services';
import { Signal } from '@lumino/signaling';

import { WorkerEnd } from './worker';

const LIMIT_MS = 10_000;

export const trans = nullTranslator.load('jupyterlite-torch');

/** The notebooks and consoles that have a kernel. */
export class Sessions {
  readonly runningChanged = new Signal<this, Session.IModel[]>(this);

  /** A notebook of which the manager knows at once. */
  start(kernelId: string, path: string): void {
    this._models.set(kernelId, path);
    this.runningChanged.emit([]);
  }

  /** A notebook of which it learns when it is asked to look again. */
  startUnseen(kernelId: string, path: string): void {
    this._unseen.set(kernelId, path);
  }

  running(): IterableIterator<Session.IModel> {
    return [...this._models]
      .map(([id, path]) => ({ path, kernel: { id } }) as Session.IModel)
      [Symbol.iterator]();
  }

  async refreshRunning(): Promise<void> {
    this._unseen.forEach((path, kernelId) => this._models.set(kernelId, path));
  }

  get manager(): Session.IManager {
    return this as unknown as Session.IManager;
  }

  private _models = new Map<string, string>();
  private _unseen = new Map<string, string>();
}

/** The local kernels. */
export class Kernels {
  readonly changed = new Signal<this, { type: string; key: string; newValue?: IKernel }>(this);
  readonly interrupted: string[] = [];

  add(id: string, name = 'python'): WorkerEnd {
    const worker = new WorkerEnd();
    const kernel = { id, name, ready: Promise.resolve(), _worker: worker } as unknown as IKernel;
    this._kernels.set(id, kernel);
    this.changed.emit({ type: 'add', key: id, newValue: kernel });
    return worker;
  }

  remove(id: string): void {
    this._kernels.delete(id);
    this.changed.emit({ type: 'remove', key: id });
  }

  async listRunning(): Promise<{ id: string }[]> {
    return [...this._kernels.keys()].map(id => ({ id }));
  }

  async getModel(id: string): Promise<IKernel | undefined> {
    return this._kernels.get(id);
  }

  async interrupt(id: string): Promise<void> {
    this.interrupted.push(id);
  }

  get client(): IKernelClient {
    return this as unknown as IKernelClient;
  }

  private _kernels = new Map<string, IKernel>();
}

/** The page's drive. */
export class Drive {
  constructor(readonly files: Record<string, Partial<Contents.IModel>> = {}) {}

  async get(path: string): Promise<Contents.IModel> {
    const model = this.files[path];
    if (!model) {
      throw new Error(`no ${path}`);
    }
    return model as Contents.IModel;
  }

  async save(path: string, model: Partial<Contents.IModel>): Promise<void> {
    this.files[path] = model;
  }

  driveName(path: string): string {
    return path.includes(':') ? path.split(':')[0]! : '';
  }

  get manager(): Contents.IManager {
    return this as unknown as Contents.IManager;
  }
}

/** The dialog in front; waits until it is there. */
export async function dialog(): Promise<HTMLElement> {
  return eventually(() => document.querySelector<HTMLElement>('.jp-Dialog'));
}

/** Press a button of the dialog in front. */
export async function press(label: string): Promise<void> {
  const buttons = Array.from((await dialog()).querySelectorAll('button'));
  const button = buttons.find(button => button.textContent === label);
  if (!button) {
    throw new Error(`No button ${label} among ${buttons.map(button => button.textContent)}`);
  }
  button.click();
}

/** What `look` finds, as soon as it finds something. */
export async function eventually<T>(look: () => T | null | undefined | false): Promise<T> {
  const end = performance.now() + LIMIT_MS;
  while (performance.now() < end) {
    const found = look();
    if (found) {
      return found;
    }
    await new Promise(resolve => setImmediate(resolve));
  }
  throw new Error(`Nothing came of ${look}`);
}
