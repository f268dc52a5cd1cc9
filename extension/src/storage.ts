/** What a site remembers in the browser: for one tab through its reloads, or for all its tabs. */

import { PageConfig } from '@jupyterlab/coreutils';

export interface IStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** The tab's, or a stand-in for the page's life where the browser forbids it. */
export function tabStorage(): IStorage {
  return openStorage(() => window.sessionStorage) ?? new MemoryStorage();
}

/** The one that stays when the browser ends; null where the browser forbids it. */
export function lastingStorage(): IStorage | null {
  return openStorage(() => window.localStorage);
}

function openStorage(find: () => Storage): IStorage | null {
  // Sites can share an origin: all of one owner's github.io do. `jupyter lite-run` writes such keys
  // before the page loads.
  const prefix = `jupyterlite-torch:${sitePath()}:`;
  try {
    // A sandboxed frame throws on access, and some private modes on the first write.
    const storage = new PrefixedStorage(find(), prefix);
    storage.setItem('probe', '');
    storage.removeItem('probe');
    return storage;
  } catch {
    return null;
  }
}

/** The path below which the site lies, the same for all its apps, with a slash at its end. */
function sitePath(): string {
  return new URL(PageConfig.getBaseUrl(), window.location.href).pathname;
}

class PrefixedStorage implements IStorage {
  constructor(
    private readonly _storage: Storage,
    private readonly _prefix: string
  ) {}

  getItem(key: string): string | null {
    return this._storage.getItem(this._prefix + key);
  }

  setItem(key: string, value: string): void {
    this._storage.setItem(this._prefix + key, value);
  }

  removeItem(key: string): void {
    this._storage.removeItem(this._prefix + key);
  }
}

class MemoryStorage implements IStorage {
  getItem(key: string): string | null {
    return this._values.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this._values.set(key, value);
  }

  removeItem(key: string): void {
    this._values.delete(key);
  }

  private _values = new Map<string, string>();
}
