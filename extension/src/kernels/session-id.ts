/**
 * Which remote session belongs to a notebook.
 *
 * The id is kept in the tab's storage under the notebook's path, so that a restart of the local
 * kernel and a reload of the tab find the session again, while a copy of the notebook, or the same
 * notebook in a second tab, has a session of its own. A browser that crashed may have lost that, so
 * the id is also kept for all tabs, of which the first to open the notebook takes it. It may lie
 * there: who has the id and no token gets nothing from the server.
 */

import type { IStorage } from '../storage';

const KEY = 'session:';
/** An id that a person has chosen, which may be in use elsewhere as well. */
const CHOSEN = 'chosen-session:';
const VALID = /^[A-Za-z0-9_-]{8,64}$/;

/** Claims an id for the life of this page; false if another tab has it. */
export type Claim = (id: string) => Promise<boolean>;

export class SessionIds {
  /** `lasting` is for all tabs, and null where `claim` can not tell them apart. */
  constructor(
    private readonly _tab: IStorage,
    private readonly _lasting: IStorage | null,
    private readonly _claim: Claim = claimWithLock
  ) {}

  /** The id of the notebook or console with this path. */
  forPath(path: string): Promise<string> {
    let id = this._byPath.get(path);
    if (!id) {
      const chosen = valid(this._tab.getItem(CHOSEN + path));
      id = chosen === null ? this._findOrMake(KEY + path) : Promise.resolve(chosen);
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

  /** The person wants this id for the path, for the life of the tab. */
  attachPath(path: string, id: string): void {
    this._byPath.set(path, Promise.resolve(id));
    this._tab.setItem(CHOSEN + path, id);
  }

  /** The same for a kernel of which nobody knows the path. */
  attachKernel(kernelId: string, id: string): void {
    this._byKernel.set(kernelId, Promise.resolve(id));
  }

  /** The notebook has been renamed and keeps its session. */
  rename(from: string, to: string): void {
    const id = this._byPath.get(from);
    if (!id || from === to) {
      return;
    }
    this._byPath.delete(from);
    this._byPath.set(to, id);
    const chosen = this._tab.getItem(CHOSEN + from);
    if (chosen !== null) {
      this._tab.removeItem(CHOSEN + from);
      this._tab.setItem(CHOSEN + to, chosen);
    }
    void id.then(id => {
      for (const storage of this._storages()) {
        // What all tabs share may be another tab's.
        if (storage.getItem(KEY + from) === id) {
          storage.removeItem(KEY + from);
          storage.setItem(KEY + to, id);
        }
      }
    });
  }

  /** Nothing has run under this path, or the notebook is gone. */
  forget(path: string): void {
    const id = this._byPath.get(path);
    this._byPath.delete(path);
    void Promise.resolve(id).then(() => {
      if (!this._byPath.has(path)) {
        this._storages().forEach(storage => storage.removeItem(KEY + path));
        this._tab.removeItem(CHOSEN + path);
      }
    });
  }

  private async _findOrMake(key: string): Promise<string> {
    const kept = valid(this._tab.getItem(key)) ?? valid(this._lasting?.getItem(key));
    let id = kept;
    // Duplicating a tab copies its storage, so what is found may be in use elsewhere.
    if (id === null || !(await this._claim(id))) {
      id = randomId();
      await this._claim(id);
    }
    this._tab.setItem(key, id);
    if (this._lasting && valid(this._lasting.getItem(key)) === null) {
      this._lasting.setItem(key, id);
    }
    return id;
  }

  private _storages(): IStorage[] {
    return this._lasting ? [this._tab, this._lasting] : [this._tab];
  }

  private _byPath = new Map<string, Promise<string>>();
  private _byKernel = new Map<string, Promise<string>>();
}

function valid(id: string | null | undefined): string | null {
  return id != null && VALID.test(id) ? id : null;
}

/** 32 characters, 192 random bits. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}

/** Browsers have locks in secure contexts only (https, localhost); elsewhere nothing tells tabs apart. */
export function tellsTabsApart(): boolean {
  return Boolean(navigator.locks && crypto.subtle);
}

/**
 * Hold a Web Lock on the id until the page goes.
 *
 * The names of locks are visible to every page of the origin, so the name is a digest.
 */
async function claimWithLock(id: string): Promise<boolean> {
  if (!tellsTabsApart()) {
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
