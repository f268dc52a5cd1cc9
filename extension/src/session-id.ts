/**
 * Which remote session belongs to a notebook.
 *
 * The id is kept in the tab's storage under the notebook's path, so that a restart of the local
 * kernel and a reload of the tab find the session again, while a copy of the notebook, or the same
 * notebook in a second tab, has a session of its own.
 */

import type { ITabStorage } from './tab-storage';

const KEY = 'jupyterlite-torch:session:';
const VALID = /^[A-Za-z0-9_-]{8,64}$/;

/** Claims an id for the life of this page; false if another tab has it. */
export type Claim = (id: string) => Promise<boolean>;

export class SessionIds {
  constructor(
    private readonly _storage: ITabStorage,
    private readonly _claim: Claim = claimWithLock
  ) {}

  /** The id of the notebook or console with this path. */
  forPath(path: string): Promise<string> {
    let id = this._byPath.get(path);
    if (!id) {
      id = this._findOrMake(KEY + path);
      this._byPath.set(path, id);
    }
    return id;
  }

  /** The id for a kernel of which nobody knows the path. */
  forKernel(kernelId: string): Promise<string> {
    let id = this._byKernel.get(kernelId);
    if (!id) {
      id = Promise.resolve(randomId());
      this._byKernel.set(kernelId, id);
    }
    return id;
  }

  /** The notebook has been renamed and keeps its session. */
  rename(from: string, to: string): void {
    const id = this._byPath.get(from);
    if (!id || from === to) {
      return;
    }
    this._byPath.delete(from);
    this._byPath.set(to, id);
    const kept = this._storage.getItem(KEY + from);
    if (kept !== null) {
      this._storage.removeItem(KEY + from);
      this._storage.setItem(KEY + to, kept);
    }
  }

  /** Nothing has run under this path. */
  forget(path: string): void {
    this._byPath.delete(path);
    this._storage.removeItem(KEY + path);
  }

  private async _findOrMake(key: string): Promise<string> {
    // Duplicating a tab copies its storage, so what is found may be in use elsewhere.
    const kept = this._storage.getItem(key);
    if (kept !== null && VALID.test(kept) && (await this._claim(kept))) {
      return kept;
    }
    const id = randomId();
    this._storage.setItem(key, id);
    await this._claim(id);
    return id;
  }

  private _byPath = new Map<string, Promise<string>>();
  private _byKernel = new Map<string, Promise<string>>();
}

/** 32 characters, 192 random bits. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}

/**
 * Hold a Web Lock on the id until the page goes.
 *
 * The names of locks are visible to every page of the origin, so the name is a digest. Browsers
 * have locks in secure contexts only (https, localhost); elsewhere nothing tells tabs apart.
 */
async function claimWithLock(id: string): Promise<boolean> {
  if (!navigator.locks || !crypto.subtle) {
    return true;
  }
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(id));
  const hex = Array.from(new Uint8Array(digest), byte => byte.toString(16).padStart(2, '0'));
  return new Promise(resolve => {
    navigator.locks
      .request(`jupyterlite-torch:session:${hex.join('')}`, { ifAvailable: true }, lock => {
        resolve(lock !== null);
        return lock === null ? undefined : new Promise<void>(() => {});
      })
      .catch(() => resolve(true));
  });
}
