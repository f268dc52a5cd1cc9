/** The manager of local kernels, with connections to kernels that answer at once. */

import type { Kernel } from '@jupyterlab/services';

export class KernelManager {
  /** What local kernels were asked, in that order. */
  readonly asked: ('complete' | 'inspect')[] = [];

  connectTo({ model }: Kernel.IKernelConnection.IOptions): Kernel.IKernelConnection {
    return new Connection(model.id, this.asked) as unknown as Kernel.IKernelConnection;
  }

  /** As a notebook's session does it. */
  connect(id: string): Kernel.IKernelConnection {
    return this.manager.connectTo({ model: { id, name: 'python' } });
  }

  get manager(): Kernel.IManager {
    return this as unknown as Kernel.IManager;
  }
}

class Connection {
  constructor(
    readonly id: string,
    private readonly _asked: KernelManager['asked']
  ) {}

  readonly clientId = 'client-one';
  readonly username = '';

  async requestComplete(): Promise<object> {
    this._asked.push('complete');
    return { content: { status: 'ok', matches: ['here'] } };
  }

  async requestInspect(): Promise<object> {
    this._asked.push('inspect');
    return { content: { status: 'ok', found: false, data: {}, metadata: {} } };
  }
}
