/** Asks the proxy by HTTP, so that no kernel, here or there, has to be free for the answer. */

import type { TranslationBundle } from '@jupyterlab/translation';

import { hostOf, resourceUrl } from '../connect/address';
import type { KnownServer } from '../connect/known-server';

const LIMIT_MS = 20_000;
/** A restart imports torch. */
const RESTART_MS = 150_000;

/** What went wrong, as a sentence for the person. */
export class ControlError extends Error {}

/** What `GET sessions` says of one. */
export interface ISessionEntry {
  id: string;
  name: string;
  kernel: string;
  created: string;
  generation: number;
  state: string;
  /** For how many seconds its cell has run. */
  cell_s: number | null;
  queued: number;
  listeners: number;
}

/** What `GET variables` says of one; what is not there does not apply to it. */
export interface IVariable {
  name: string;
  type: string;
  bytes: number | null;
  shape?: number[];
  dtype?: string;
  device?: string;
  requires_grad?: boolean;
}

export class Control {
  constructor(
    private readonly _known: KnownServer,
    private readonly _trans: TranslationBundle
  ) {}

  async sessions(): Promise<ISessionEntry[]> {
    return (await this._ask<{ sessions: ISessionEntry[] }>('GET', 'sessions')).sessions;
  }

  /** The largest variables of a session, and how many there are. */
  variables(session: string): Promise<{ variables: IVariable[]; count: number }> {
    return this._ask('GET', 'variables', session);
  }

  /** The names of those that were there. */
  async deleteVariables(session: string, names: string[]): Promise<string[]> {
    const body = { names };
    return (await this._ask<{ deleted: string[] }>('DELETE', 'variables', session, body)).deleted;
  }

  preview(session: string, name: string): Promise<{ text: string; truncated: boolean }> {
    return this._ask('POST', 'preview', session, { name });
  }

  interrupt(session: string): Promise<void> {
    return this._ask('POST', 'interrupt', session);
  }

  restart(session: string): Promise<void> {
    return this._ask('POST', 'restart', session, undefined, RESTART_MS);
  }

  rename(session: string, name: string): Promise<void> {
    return this._ask('POST', 'rename', session, { name });
  }

  shutDown(session: string): Promise<void> {
    return this._ask('DELETE', 'sessions', session);
  }

  /** What the proxy answers, read as `T`; undefined if that is nothing. Throws a ControlError. */
  private async _ask<T>(
    method: string,
    resource: string,
    session?: string,
    body?: object,
    limit = LIMIT_MS
  ): Promise<T> {
    const trans = this._trans;
    const server = this._known.get();
    if (server === null) {
      throw new ControlError(trans.__('This page is not connected to a server.'));
    }
    const headers: Record<string, string> = { Authorization: `token ${server.token}` };
    const init: RequestInit = {
      method,
      headers,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
      signal: AbortSignal.timeout(limit)
    };
    if (session !== undefined) {
      headers['Torch-Session'] = session;
    }
    if (body !== undefined) {
      headers['Content-Type'] = 'application/json';
      init.body = JSON.stringify(body);
    }
    let response: Response;
    let text: string;
    try {
      response = await fetch(resourceUrl(server.url, resource), init);
      text = await response.text();
    } catch {
      throw new ControlError(trans.__('%1 does not answer.', hostOf(server.url)));
    }
    let content: { message?: unknown } | undefined;
    try {
      content = text ? JSON.parse(text) : undefined;
    } catch {
      content = undefined;
    }
    if (response.ok) {
      return content as T;
    }
    if (response.status === 404 && !content?.message) {
      throw new ControlError(
        trans.__('The server is too old for this: update jupyterlite-torch there.')
      );
    }
    throw new ControlError(
      String(content?.message ?? trans.__('The server says: %1.', String(response.status)))
    );
  }
}
