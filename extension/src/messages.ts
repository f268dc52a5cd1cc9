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
  /** What the person has connected to, null if they cancelled. */
  | { type: 'chosen'; id: string; server: IServer | null }
  | { type: 'server'; server: IServer | null }
  /** How many bytes of a file have gone their way, and that it is over. */
  | { type: 'moved'; id: string; done: number; total: number }
  | { type: 'file'; id: string; outcome: { size: number; error: string | null } }
  /** Go on with another remote session. */
  | { type: 'session'; session: string }
  /** What there is to say of a server. */
  | { type: 'doctor'; id: string; text: string }
  | { type: 'interrupt' }
  /** The person gives up the remote kernel's variables for one that answers. */
  | { type: 'restart' }
  /** The person cancels a transfer. */
  | { type: 'cancel'; id: string }
  /** What was typed, as it was typed; null if the person closed the question. */
  | { type: 'input'; id: string; value: string | null };

/** A remote cell waits for `input()` or `getpass()`. */
export interface IInputQuestion {
  id: string;
  prompt: string;
  password: boolean;
  /** The `msg_id` of the local request of the notebook's cell that waits, if it is known. */
  cell: string | null;
}

/** What a cell took. */
export interface IReceipt {
  /** Where it ran; null for what nobody has said. */
  device: string | null;
  seconds: number | null;
  /** The most bytes that it had on a GPU at once; null if it used none. */
  peak: number | null;
  /** Bytes of the arrays that went up with it, and of those that came back. */
  bytesUp: number;
  bytesDown: number;
}

/** A remote cell of a notebook has begun or ended. */
export interface ICellChange {
  type: 'cell';
  state: 'running' | 'ended';
  id: string;
  /** The `msg_id` of the local request that it belongs to, if it is known. */
  message: string | null;
  /** It is a job: the notebook does not wait for it. */
  background: boolean;
  /** Null before its end, and if it did not run; `readReceipt` of reports.ts reads it. */
  receipt: object | null;
}

/** A transfer that is under way. */
export interface ITransfer {
  id: string;
  /** What goes where. */
  name: string;
  /** Bytes. */
  done: number;
  total: number;
  /** Seconds until the end; null for unknown. */
  left: number | null;
}

/** A file is to go from the drive to the session's folder, or back. */
export interface IFileTransfer {
  id: string;
  direction: 'put' | 'get';
  /** The path in the drive. */
  here: string;
  /** The name in the session's folder. */
  there: string;
}

/** What a kernel says of a transfer; `readTransfer` of reports.ts reads the rest of it. */
export type ITransferMessage = { type: 'transfer' | 'transfer-ended'; id: string };

export type FromWorker =
  /** Which server, and its token? With `url`, that one. */
  | { type: 'ask-server'; id: string; url: string | null }
  /** What is wrong with a server? With `url`, that one. */
  | { type: 'ask-doctor'; id: string; url: string | null }
  | { type: 'connected'; url: string }
  | { type: 'disconnected' }
  | ICellChange
  | ITransferMessage
  | ({ type: 'ask-input' } & IInputQuestion)
  | ({ type: 'ask-file' } & IFileTransfer)
  /** The cell that moves a file was stopped. */
  | { type: 'withdraw-file'; id: string }
  /** The cell was stopped, or its question was answered elsewhere. */
  | { type: 'withdraw-input'; id: string };

/** A message from the worker as it arrived, or null if it is none of ours. */
export function readMessage(data: unknown): FromWorker | null {
  if (typeof data !== 'object' || data === null) {
    return null;
  }
  const fields = data as Record<string, unknown>;
  const { type, id, url, state, prompt, password, cell } = fields;
  const { direction, here, there } = fields;
  switch (type) {
    case 'ask-server':
    case 'ask-doctor':
      return typeof id === 'string' && (typeof url === 'string' || url === null)
        ? { type, id, url }
        : null;
    case 'connected':
      return typeof url === 'string' ? { type, url } : null;
    case 'disconnected':
      return { type };
    case 'cell': {
      const { message, background, receipt } = fields;
      return (state === 'running' || state === 'ended') &&
        typeof id === 'string' &&
        (typeof message === 'string' || message === null) &&
        typeof background === 'boolean' &&
        typeof receipt === 'object'
        ? { type, state, id, message, background, receipt }
        : null;
    }
    case 'transfer':
    case 'transfer-ended':
      return typeof id === 'string' ? { ...fields, type, id } : null;
    case 'ask-input':
      return typeof id === 'string' &&
        typeof prompt === 'string' &&
        typeof password === 'boolean' &&
        (typeof cell === 'string' || cell === null)
        ? { type, id, prompt, password, cell }
        : null;
    case 'ask-file':
      return typeof id === 'string' &&
        (direction === 'put' || direction === 'get') &&
        typeof here === 'string' &&
        typeof there === 'string'
        ? { type, id, direction, here, there }
        : null;
    case 'withdraw-file':
    case 'withdraw-input':
      return typeof id === 'string' ? { type, id } : null;
    default:
      return null;
  }
}
