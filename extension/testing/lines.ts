/** The lines to all kernels of a page, as the extension makes them, over kernels that Node can have. */

import { Panel } from '@lumino/widgets';

import { InputQuestions } from '../src/cells/input';
import { Stops } from '../src/cells/stop';
import { KnownServer } from '../src/connect/known-server';
import { ServerQuestions } from '../src/connect/server-questions';
import { KernelSessions } from '../src/kernels/kernel-sessions';
import { Lines } from '../src/kernels/lines';
import { SessionIds } from '../src/kernels/session-id';
import { eventually, Kernels, Sessions, trans } from './jupyterlab';
import type { WorkerEnd } from './worker';

export class LinesOfPage {
  constructor() {
    sessionStorage.clear();
    this.known = new KnownServer(sessionStorage, null);
    this.lines = new Lines({
      kernels: this._kernels.client,
      sessions: new KernelSessions(this._sessions.manager, new SessionIds(sessionStorage, null)),
      server: this.known,
      defaultServer: null,
      questions: new ServerQuestions(async () => [], trans),
      inputs: async () => new InputQuestions(new Panel(), trans),
      stops: new Stops(trans),
      files: () => Promise.reject(new Error('nothing is moved here')),
      trans
    });
  }

  readonly known: KnownServer;
  readonly lines: Lines;

  /** A kernel with its line, and so with a session. */
  async start(id: string): Promise<{ worker: WorkerEnd; session: string }> {
    this._sessions.start(id, `${id}.ipynb`);
    const worker = this._kernels.add(id);
    const { session } = await eventually(() => worker.greeting);
    return { worker, session };
  }

  /** An open line would keep Node from its end. */
  async close(): Promise<void> {
    for (const { id } of await this._kernels.listRunning()) {
      this._kernels.remove(id);
    }
  }

  private _kernels = new Kernels();
  private _sessions = new Sessions();
}
