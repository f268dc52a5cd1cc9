/**
 * What goes over the line between the page and a kernel's worker.
 *
 * The line is a MessagePort: no other page of the origin hears it, unlike a BroadcastChannel or
 * JupyterLite's stdin.
 */

/** A proxy and the token for it. */
export interface IServer {
  url: string;
  token: string;
}

/** Comes to the worker itself, with the line's port, when its kernel is ready. */
export interface IGreeting {
  type: 'jupyterlite-torch';
  /** The id of the remote session. */
  session: string;
  /** The server that this tab is connected to. */
  server: IServer | null;
  /** The address of the server that the site names, for which the page has no token. */
  default: string | null;
}

export type ToWorker =
  | { type: 'token'; id: string | number; token: string | null }
  | { type: 'server'; server: IServer | null }
  | { type: 'interrupt' };

export type FromWorker =
  | { type: 'ask-token'; id: string | number; url: string }
  | { type: 'connected'; url: string }
  | { type: 'disconnected' };

/** A message from the worker as it arrived, or null if it is none of ours. */
export function readMessage(data: unknown): FromWorker | null {
  if (typeof data !== 'object' || data === null) {
    return null;
  }
  const { type, id, url } = data as Record<string, unknown>;
  switch (type) {
    case 'ask-token':
      return (typeof id === 'string' || typeof id === 'number') && typeof url === 'string'
        ? { type, id, url }
        : null;
    case 'connected':
      return typeof url === 'string' ? { type, url } : null;
    case 'disconnected':
      return { type };
    default:
      return null;
  }
}
