/** The private line between the page and one kernel's worker. */

import { readMessage, type FromWorker, type IGreeting, type ToWorker } from '../messages';

export class Line {
  /** Hand one end to the worker, with its greeting. */
  constructor(
    readonly kernelId: string,
    worker: Worker,
    greeting: IGreeting,
    onMessage: (line: Line, message: FromWorker) => void
  ) {
    this._session = greeting.session;
    const { port1, port2 } = new MessageChannel();
    this._port = port1;
    this._port.onmessage = event => {
      const message = readMessage(event.data);
      if (message) {
        onMessage(this, message);
      } else {
        console.warn('jupyterlite-torch: the worker sent something unknown');
      }
    };
    // Comlink listens to the same worker and passes over what has none of its types (4.4.2).
    worker.postMessage(greeting, [port2]);
  }

  /** The id of the remote session. */
  get session(): string {
    return this._session;
  }

  /** Go on with another remote session, from the next cell on. */
  attach(session: string): void {
    this._session = session;
    this.send({ type: 'session', session });
  }

  /** Tokens that the page has given to this kernel, by the address as it was asked for. */
  readonly given = new Map<string, string>();

  get closed(): boolean {
    return this._closed;
  }

  send(message: ToWorker): void {
    this._port.postMessage(message);
  }

  close(): void {
    this._closed = true;
    this._port.close();
  }

  private _session: string;
  private _port: MessagePort;
  private _closed = false;
}
