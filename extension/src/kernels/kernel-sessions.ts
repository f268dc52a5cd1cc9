/** Which remote session each kernel of this page has. */

import type { Session } from '@jupyterlab/services';

import type { SessionIds } from './session-id';
import { pathOf, waitForPath } from './session-path';

export class KernelSessions {
  constructor(
    private readonly _sessions: Session.IManager,
    private readonly _ids: SessionIds
  ) {
    _sessions.runningChanged.connect(() => this._followRenames());
  }

  /** A kernel starts. Its id is looked for while Pyodide loads. */
  prepare(kernelId: string): void {
    this._prepared.set(kernelId, this._prepare(kernelId));
  }

  /** The id, at once if it is there, so that the kernel has it before its first cell. */
  take(kernelId: string): string | Promise<string> {
    this._taken.add(kernelId);
    return this._found.get(kernelId) ?? this._wait(kernelId);
  }

  /** From now on a kernel has this id, which another one may have too. */
  attach(kernelId: string, id: string): void {
    const path = this._paths.get(kernelId);
    if (path === undefined) {
      this._ids.attachKernel(kernelId, id);
    } else {
      this._ids.attachPath(path, id);
    }
    this._found.set(kernelId, id);
  }

  private async _wait(kernelId: string): Promise<string> {
    await this._prepared.get(kernelId);
    return this._find(kernelId);
  }

  private async _prepare(kernelId: string): Promise<void> {
    if (!this._paths.has(kernelId)) {
      const path = await waitForPath(this._sessions, kernelId);
      if (path !== null) {
        this._paths.set(kernelId, path);
      }
    }
    await this._find(kernelId);
  }

  private async _find(kernelId: string): Promise<string> {
    const path = this._paths.get(kernelId);
    const id = await (path === undefined ? this._ids.forKernel(kernelId) : this._ids.forPath(path));
    if (path === this._paths.get(kernelId)) {
      this._found.set(kernelId, id);
    }
    return id;
  }

  private _followRenames(): void {
    for (const [kernelId, from] of this._paths) {
      const to = pathOf(this._sessions, kernelId);
      if (to === null || to === from) {
        continue;
      }
      this._paths.set(kernelId, to);
      if (this._taken.has(kernelId)) {
        this._ids.rename(from, to);
      } else {
        // JupyterLab 4.6 starts the kernel of a restored notebook under a random path and renames
        // it at once; the notebook's own path may have a session from before the reload.
        this._ids.forget(from);
        this._found.delete(kernelId);
        void this._find(kernelId);
      }
    }
  }

  /** All by kernel id, and kept through restarts. */
  private _prepared = new Map<string, Promise<void>>();
  private _paths = new Map<string, string>();
  private _found = new Map<string, string>();
  private _taken = new Set<string>();
}
