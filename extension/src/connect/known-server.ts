/** The server that this tab is connected to. */

import { normalAddress } from './address';
import type { IServer } from '../messages';
import type { IStorage } from '../storage';

const KEY = 'server';

export class KnownServer {
  constructor(private readonly _storage: IStorage) {}

  get(): IServer | null {
    return readServer(this._storage.getItem(KEY));
  }

  set(server: IServer): void {
    this._storage.setItem(KEY, JSON.stringify({ url: server.url, token: server.token }));
  }

  forget(): void {
    this._storage.removeItem(KEY);
  }
}

export function readServer(text: string | null): IServer | null {
  try {
    const { url, token } = JSON.parse(text ?? 'null') ?? {};
    return normalAddress(url) !== null && typeof token === 'string' ? { url, token } : null;
  } catch {
    return null;
  }
}
