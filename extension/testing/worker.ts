/** The far end of a line: what the Python in a kernel's worker would get and say. */

import type { FromWorker, IGreeting, ToWorker } from '../src/messages';
import { Line } from '../src/kernels/line';

/** Takes the place of a web worker, which Node has not. */
export class WorkerEnd extends Worker {
  constructor() {
    super('');
  }

  override postMessage(greeting: IGreeting, ports?: unknown): void {
    const [port] = ports as [MessagePort];
    this.greeting = greeting;
    this._port = port;
    port.onmessage = event => {
      this._arrived.push(event.data);
      this._wake?.();
    };
  }

  greeting?: IGreeting;

  /** Say something to the page; what is no message of ours as well. */
  say(message: FromWorker | unknown): void {
    this._port!.postMessage(message);
  }

  /** The next message of the page; waits for it. */
  async next(): Promise<ToWorker> {
    while (!this._arrived.length) {
      await new Promise<void>(resolve => (this._wake = resolve));
    }
    return this._arrived.shift()!;
  }

  /** All that has come and nobody has looked at, after what is under way has arrived. */
  async rest(): Promise<ToWorker[]> {
    await settled();
    return this._arrived.splice(0);
  }

  private _port?: MessagePort;
  private _arrived: ToWorker[] = [];
  private _wake?: () => void;
}

/** After what is under way on lines, and what follows from it, has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise(resolve => setImmediate(resolve));
  }
}

/** A line and its far end; close the line when the test ends, or Node waits for more of it. */
export function openLine(
  onMessage: (line: Line, message: FromWorker) => void = () => {},
  session = 'session-one'
): { line: Line; worker: WorkerEnd } {
  const worker = new WorkerEnd();
  const greeting = { type: 'jupyterlite-torch', session, server: null, default: null } as const;
  return { line: new Line('kernel-one', worker, greeting, onMessage), worker };
}
