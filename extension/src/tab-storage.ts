/** What this tab remembers until it is closed, through reloads. */

export interface ITabStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** The tab's sessionStorage, or a stand-in for the page's life where the browser forbids it. */
export function tabStorage(): ITabStorage {
  try {
    // A sandboxed frame throws on access, and some private modes on the first write.
    const storage = window.sessionStorage;
    storage.setItem('jupyterlite-torch:probe', '');
    storage.removeItem('jupyterlite-torch:probe');
    return storage;
  } catch {
    return new MemoryStorage();
  }
}

class MemoryStorage implements ITabStorage {
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
