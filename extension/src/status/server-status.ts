/** How the server and one session do, asked again and again while somebody can see it. */

import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import { resourceUrl } from '../connect/address';
import type { KnownServer } from '../connect/known-server';
import type { IServer } from '../messages';

const IDLE_MS = 5000;
const BUSY_MS = 2000;
/** A short cell ends before its start has to be known: one question for both, and for those that
 * follow at once. Asking costs the page 4 ms (Chromium 156, two cores). */
const SOON_MS = 250;
const LIMIT_MS = 10_000;
const LONGEST_RETRY_S = 30;

export interface IGpu {
  index: string;
  name: string;
  /** Bytes; null for what the driver does not tell. */
  used: number | null;
  total: number | null;
  /** Up to 1. */
  load: number | null;
}

/** What `GET status` says of a cell. */
export interface ICellSummary {
  id: string;
  state: 'queued' | 'running' | 'ended';
  /** `ok`, `error` or `unknown` once it has ended. */
  status: string | null;
  /** When its code began, in ISO 8601; null before. */
  started: string | null;
  seconds: number | null;
  /** The most bytes that it had on a GPU at once; null for none, and while it runs. */
  peak: number | null;
  bytes_up: number;
  bytes_down: number;
}

/** What `GET status` says of a session. */
export interface ISession {
  /** An older server tells neither its id nor its cells. */
  id?: string;
  state: string;
  /** Counts its kernels. */
  generation: number;
  /** Another one whenever anything has happened there. */
  seq: number;
  device_name?: string | null;
  device?: string;
  /** For how many seconds its cell has run. */
  cell_s: number | null;
  queued: number;
  /** The latest cells, the newest last. */
  cells?: ICellSummary[];
  /** Bytes on a GPU of the session that a cell runs in; null for what is not known. */
  memory?: number | null;
}

/** Where the last answer to `GET status` is. */
export interface IStatusSource {
  readonly now: Status;
  /** Emitted when `now` is another one. */
  readonly changed: ISignal<unknown, void>;
}

export type Status =
  | { state: 'off' }
  | { state: 'connecting'; url: string }
  | { state: 'on'; url: string; gpus: IGpu[]; session: ISession | null; since: number }
  /** The next try is at `retryAt`, in the milliseconds of `performance.now()`. */
  | { state: 'lost'; url: string; retryAt: number }
  | { state: 'refused'; url: string; message: string };

export class ServerStatus implements IDisposable, IStatusSource {
  constructor(
    private readonly _known: KnownServer,
    /** The remote session that is looked at; null for none. */
    private readonly _session: () => string | null
  ) {
    _known.changed.connect(this.ask, this);
    document.addEventListener('visibilitychange', this._onVisible);
    this.ask();
  }

  /** Emitted when `now` is another one. */
  readonly changed = new Signal<this, void>(this);

  get now(): Status {
    return this._now;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    window.clearTimeout(this._timer);
    document.removeEventListener('visibilitychange', this._onVisible);
    Signal.clearData(this);
  }

  /** Ask at once. */
  ask(): void {
    const number = ++this._asked;
    this._soon = false;
    window.clearTimeout(this._timer);
    const server = this._known.get();
    if (server === null) {
      this._set({ state: 'off' });
    } else if (document.visibilityState === 'visible') {
      if (!('url' in this._now) || this._now.url !== server.url) {
        this._set({ state: 'connecting', url: server.url });
      }
      void this._ask(server, number);
    }
  }

  /** Ask when what has just changed may have settled. */
  askSoon(): void {
    if (!this._soon) {
      this._askIn(SOON_MS);
      this._soon = true;
    }
  }

  private async _ask(server: IServer, number: number): Promise<void> {
    const { url } = server;
    let status: Status;
    let wait = IDLE_MS;
    try {
      const response = await fetch(resourceUrl(url, 'status'), {
        headers: {
          Authorization: `token ${server.token}`,
          'Torch-Session': this._session() ?? ''
        },
        cache: 'no-store',
        credentials: 'omit',
        signal: AbortSignal.timeout(LIMIT_MS)
      });
      const body = await response.json();
      if (response.ok) {
        const { gpus, session } = body as { gpus: IGpu[]; session: ISession | null };
        status = { state: 'on', url, gpus, session, since: performance.now() };
        wait = session?.cell_s == null ? IDLE_MS : BUSY_MS;
        this._failures = 0;
      } else {
        status = { state: 'refused', url, message: String(body.message) };
        wait = LONGEST_RETRY_S * 1000;
      }
    } catch {
      wait = 1000 * Math.min(LONGEST_RETRY_S, 2 ** this._failures++);
      status = { state: 'lost', url, retryAt: performance.now() + wait };
    }
    // There is another server by now or none, or nobody wants to know any more.
    if (number === this._asked && !this._disposed) {
      this._set(status);
      if (!this._soon) {
        this._askIn(wait);
      }
    }
  }

  private _askIn(ms: number): void {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => this.ask(), ms);
  }

  private _set(status: Status): void {
    this._now = status;
    this.changed.emit();
  }

  private _onVisible = (): void => {
    if (document.visibilityState === 'visible') {
      this.ask();
    }
  };

  private _now: Status = { state: 'off' };
  private _asked = 0;
  private _failures = 0;
  private _timer = 0;
  private _soon = false;
  private _disposed = false;
}
