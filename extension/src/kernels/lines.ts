/** All kernels of this page: a line to each, and one server for all of them. */

import type { TranslationBundle } from '@jupyterlab/translation';
import type { IKernel, IKernelClient } from '@jupyterlite/services';

import { normalAddress } from '../connect/address';
import type { IConnected } from '../connect/connect-dialog';
import { Signal } from '@lumino/signaling';
import type { InputQuestions } from '../cells/input';
import type { LineTransfers } from '../files/line-transfers';
import type { KernelSessions } from './kernel-sessions';
import type { KnownServer } from '../connect/known-server';
import { Line } from './line';
import type { FromWorker, ICellChange, ITransferMessage, IServer } from '../messages';
import type { Stops } from '../cells/stop';
import type { ServerQuestions } from '../connect/server-questions';
import { PYODIDE, workerOf } from './worker';

export interface ILinesOptions {
  kernels: IKernelClient;
  sessions: KernelSessions;
  server: KnownServer;
  /** The address of the server that the site names. */
  defaultServer: string | null;
  questions: ServerQuestions;
  /** Loaded when a cell asks first: a page that never connects does not pay for it. */
  inputs: () => Promise<InputQuestions>;
  stops: Stops;
  /** Loaded with the first file that a notebook moves. */
  files: () => Promise<LineTransfers>;
  trans: TranslationBundle;
}

export class Lines {
  constructor(private readonly _options: ILinesOptions) {
    const { kernels } = _options;
    kernels.changed.connect((_, { type, key, newValue }) => {
      // A restart is a remove and an add with the same id.
      if (type === 'remove') {
        this._close(key);
      } else if (newValue) {
        void this._open(newValue);
      }
    });
    void this._openRunning();
    this._wrapInterrupt();
  }

  /** The remote session of a kernel of this page; null before it has one. */
  sessionOf(kernelId: string): string | null {
    return this._lines.get(kernelId)?.session ?? null;
  }

  /** Let a kernel go on with another remote session. */
  attach(kernelId: string, session: string): void {
    this._options.sessions.attach(kernelId, session);
    this._lines.get(kernelId)?.attach(session);
  }

  get connected(): boolean {
    return this._options.server.get() !== null;
  }

  /** Let the person connect all kernels of the page to a server. */
  async ask(url?: string): Promise<void> {
    const connected = await this._options.questions.ask(this, url);
    if (connected) {
      this.connect(connected.server);
      this._remember(connected);
    }
  }

  /** Leave the server; what runs there goes on. */
  disconnect(): void {
    this._options.server.forget();
    this._tellOthers(null);
  }

  /** Emitted when a remote cell of a notebook has begun or ended. */
  readonly cellChanged = new Signal<this, ICellChange & { kernelId: string }>(this);

  /** Emitted with what a kernel says of a transfer; with null when its line is closed. */
  readonly transferred = new Signal<this, { line: Line; message: ITransferMessage | null }>(this);

  /** Take this server for all kernels, those to come included. */
  connect(server: IServer, except?: Line): void {
    this._options.server.set(server);
    this._tellOthers(server, except);
  }

  /** A plugin that was activated earlier may have started a kernel already. */
  private async _openRunning(): Promise<void> {
    const { kernels } = this._options;
    for (const { id } of await kernels.listRunning()) {
      // JupyterLite 0.8.6 hands out the kernel itself where the type says its model.
      const kernel = (await kernels.getModel(id)) as IKernel | undefined;
      if (kernel && !this._kernels.has(id)) {
        void this._open(kernel);
      }
    }
  }

  private async _open(kernel: IKernel): Promise<void> {
    if (kernel.name !== PYODIDE) {
      return;
    }
    this._kernels.set(kernel.id, kernel);
    const { sessions, server, defaultServer } = this._options;
    sessions.prepare(kernel.id);
    try {
      await kernel.ready;
    } catch {
      // It was disposed or could not start, which the kernel itself reports.
      return;
    }
    // Without a wait between the kernel's promise and the greeting, the greeting is there before
    // the first cell, which waits for the same promise.
    let session = sessions.take(kernel.id);
    if (typeof session !== 'string') {
      session = await session;
    }
    const worker = this._kernels.get(kernel.id) === kernel ? workerOf(kernel) : null;
    if (!worker) {
      return;
    }
    const greeting = {
      type: 'jupyterlite-torch',
      session,
      server: server.get(),
      default: defaultServer
    } as const;
    const line = new Line(kernel.id, worker, greeting, (line, message) => {
      void this._onMessage(line, message);
    });
    if (greeting.server) {
      line.given.set(greeting.server.url, greeting.server.token);
    }
    this._lines.set(kernel.id, line);
  }

  private _close(kernelId: string): void {
    this._kernels.delete(kernelId);
    const line = this._lines.get(kernelId);
    if (line) {
      this._lines.delete(kernelId);
      line.close();
      const { questions, stops } = this._options;
      questions.withdraw(line);
      void this._inputs?.then(inputs => inputs.forget(line));
      stops.forget(line);
      this.transferred.emit({ line, message: null });
    }
  }

  private async _onMessage(line: Line, message: FromWorker): Promise<void> {
    const { stops, files } = this._options;
    switch (message.type) {
      case 'ask-server': {
        const connected = await this._options.questions.ask(line, message.url ?? undefined);
        let server: IServer | null = null;
        if (connected) {
          const { url, token } = connected.server;
          // In the worker's own spelling, in which it is going to say that it has connected.
          server = { url: message.url ?? url, token };
          line.given.set(server.url, token);
          this._remember(connected);
        }
        if (!line.closed) {
          line.send({ type: 'chosen', id: message.id, server });
        }
        break;
      }
      case 'ask-doctor':
        line.send({ type: 'doctor', id: message.id, text: await this.examine(message.url) });
        break;
      case 'connected': {
        const token = line.given.get(message.url);
        if (token === undefined) {
          console.warn(`jupyterlite-torch: no token was given for ${message.url}`);
          break;
        }
        const known = this._options.server.get();
        if (known?.url !== message.url || known.token !== token) {
          this.connect({ url: message.url, token }, line);
        }
        break;
      }
      case 'disconnected':
        line.given.clear();
        this._options.server.forget();
        this._tellOthers(null, line);
        break;
      case 'cell':
        this.cellChanged.emit({ ...message, kernelId: line.kernelId });
        if (message.background) {
          break;
        }
        if (message.state === 'running') {
          stops.began(line, message.id);
        } else {
          stops.ended(line, message.id);
        }
        break;
      case 'transfer':
      case 'transfer-ended':
        this.transferred.emit({ line, message });
        break;
      case 'ask-input':
        this._inputs ??= this._options.inputs();
        (await this._inputs).ask(line, message);
        break;
      case 'ask-file': {
        const location = this._kernels.get(line.kernelId)?.location ?? '';
        await (await files()).move(line, message, location);
        break;
      }
      case 'withdraw-file':
        (await files()).withdraw(message.id);
        break;
      case 'withdraw-input':
        (await this._inputs)?.withdraw(line, message.id);
        break;
    }
  }

  /** What there is to say of a server, by default of the one that is known. */
  async examine(url: string | null): Promise<string> {
    const { server, defaultServer, trans } = this._options;
    const known = server.get();
    const address = url ?? known?.url ?? defaultServer;
    if (address === null) {
      return trans.__(
        'This page knows no server. Name its address, as in %1.',
        '%torch doctor http://127.0.0.1:8889'
      );
    }
    const { Doctor } = await import('../connect/doctor');
    const token = known !== null && normalAddress(address) === known.url ? known.token : null;
    return new Doctor(trans).report(address, token);
  }

  private _remember({ server, remember }: IConnected): void {
    if (remember) {
      this._options.server.remember(server);
    }
  }

  private _tellOthers(server: IServer | null, except?: Line): void {
    for (const line of this._lines.values()) {
      if (line !== except) {
        if (server) {
          line.given.set(server.url, server.token);
        }
        line.send({ type: 'server', server });
      }
    }
  }

  /** The toolbar's button, the menu and `kernel.interrupt()` all end in this method. */
  private _wrapInterrupt(): void {
    const { kernels } = this._options;
    const interrupt = kernels.interrupt;
    kernels.interrupt = (kernelId: string) => {
      const line = this._lines.get(kernelId);
      if (line) {
        this._options.stops.stop(line);
      }
      return interrupt.call(kernels, kernelId);
    };
  }

  /** Kernels that are running or starting. */
  private _kernels = new Map<string, IKernel>();
  private _lines = new Map<string, Line>();
  /** What waits for this is done in the order in which it came. */
  private _inputs: Promise<InputQuestions> | null = null;
}
