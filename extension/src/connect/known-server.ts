/** The server that this tab is connected to. */

import { Signal } from '@lumino/signaling';

import { normalAddress } from './address';
import type { IServer } from '../messages';
import type { IStorage } from '../storage';

const KEY = 'server';

export class KnownServer {
  constructor(
    private readonly _tab: IStorage,
    /** For all tabs and later visits, if the person wants that; null where there is none. */
    private readonly _lasting: IStorage | null
  ) {}

  /** Emitted when it is another one, or none. */
  readonly changed = new Signal<this, void>(this);

  get(): IServer | null {
    return readServer(this._tab.getItem(KEY)) ?? readServer(this._lasting?.getItem(KEY) ?? null);
  }

  set({ url, token }: IServer): void {
    this._tab.setItem(KEY, JSON.stringify({ url, token }));
    this.changed.emit();
  }

  /** Keep it beyond the tab. */
  remember({ url, token }: IServer): void {
    this._lasting?.setItem(KEY, JSON.stringify({ url, token }));
  }

  forget(): void {
    this._tab.removeItem(KEY);
    this._lasting?.removeItem(KEY);
    this.changed.emit();
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
