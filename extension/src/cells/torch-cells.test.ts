import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { Panel, Widget } from '@lumino/widgets';

import { eventually, trans } from '../../testing/jupyterlab';
import { KnownServer } from '../connect/known-server';
import type { Lines } from '../kernels/lines';
import type { ICellChange } from '../messages';
import type { Status } from '../status/server-status';
import { markCells } from './torch-cells';

/** A cell as far as it is looked at. */
class Cell extends Widget {
  constructor(
    private _source: string,
    readonly type = 'code'
  ) {
    super();
    this.model = { id: `cell-${Cell._count++}`, type, sharedModel: this };
  }

  private static _count = 0;
  readonly model;
  readonly changed = new Signal<this, { sourceChange?: unknown }>(this);
  outputArea?: unknown;

  getSource(): string {
    return this._source;
  }

  write(source: string): void {
    this._source = source;
    this.changed.emit({ sourceChange: [] });
  }

  get mark(): HTMLElement | null {
    return this.node.querySelector('.jp-Torch-mark');
  }
}

class Notebook extends Panel {
  readonly cells = { changed: new Signal<object, void>({}) };
  readonly content = {
    widgets: [] as Cell[],
    model: { cells: this.cells },
    modelChanged: new Signal<object, void>({})
  };
  readonly sessionContext = { session: { kernel: { id: 'kernel-one' } } };

  add(...cells: Cell[]): void {
    this.content.widgets.push(...cells);
    this.cells.changed.emit();
  }
}

class Source {
  now: Status = { state: 'off' };
  readonly changed = new Signal<this, void>(this);

  say(now: Status): void {
    this.now = now;
    this.changed.emit();
  }
}

const lines = {
  cellChanged: new Signal<object, ICellChange & { kernelId: string }>({}),
  transferred: new Signal<object, { line: { kernelId: string }; message: null }>({}),
  sessionOf: () => 'session-one'
};

let notebook: Notebook;
let known: KnownServer;
let status: Source;
let connected: number;

beforeEach(() => {
  Signal.clearData(lines);
  sessionStorage.clear();
  notebook = new Notebook();
  known = new KnownServer(sessionStorage, null);
  status = new Source();
  connected = 0;
  let extension: { createNew(panel: unknown): void };
  const app = {
    commands: new CommandRegistry(),
    docRegistry: { addWidgetExtension: (_: string, given: never) => (extension = given) }
  };
  markCells(app as unknown as JupyterFrontEnd, {
    lines: lines as unknown as Lines,
    known,
    status,
    connect: () => connected++,
    trans
  });
  extension!.createNew(notebook);
});

async function add(source: string): Promise<Cell> {
  const cell = new Cell(source);
  notebook.add(cell);
  await eventually(() => cell.mark);
  return cell;
}

function change(state: 'running' | 'ended', more: Partial<ICellChange> = {}): void {
  const receipt = null;
  const base = { type: 'cell', state, id: '1', message: null, background: false, receipt } as const;
  lines.cellChanged.emit({ ...base, ...more, kernelId: 'kernel-one' });
}

const CONNECTED = (device: string, memory: number | null = null): Status => ({
  state: 'on',
  url: 'http://here:1',
  gpus: [],
  since: 0,
  session: {
    id: 'session-one',
    generation: 1,
    seq: 0,
    state: 'idle',
    device,
    cell_s: null,
    queued: 0,
    memory
  }
});

test('a cell has a mark as long as it starts with the magic', async () => {
  const cell = await add('# note\n\n%%torch -o w\nw = 1');
  assert.equal(cell.mark!.textContent, '%%torch · not connected');
  for (const source of ['%%torchx\n', ' %%torch\n', 'a\n%%torch\n', '%torch 1', '', '\n#']) {
    cell.write(source);
    await eventually(() => !cell.mark);
    cell.write('%%torch');
    await eventually(() => cell.mark);
  }
  const other = new Cell('%%torch\n', 'markdown');
  notebook.add(other);
  await add('%%torch\n');
  assert.equal(other.mark, null);
  cell.mark!.click();
  assert.equal(connected, 1);
});

test('a mark says where its cell runs', async () => {
  const cell = await add('%%torch\n');
  known.set({ url: 'http://here:1', token: 'secret' });
  assert.equal(cell.mark!.textContent, '%%torch · here:1');
  status.say(CONNECTED('cpu'));
  assert.equal(cell.mark!.textContent, '%%torch · cpu');
  // Another notebook, of which the server knows no session, is in front.
  status.say({ state: 'on', url: 'http://here:1', gpus: [], since: 0, session: null });
  assert.equal(cell.mark!.textContent, '%%torch · cpu');
  status.say({ state: 'lost', url: 'http://here:1', retryAt: 0 });
  assert.equal(cell.mark!.textContent, '%%torch · here:1 is gone');
  status.say({ state: 'refused', url: 'http://here:1', message: '' });
  assert.equal(cell.mark!.textContent, '%%torch · here:1 refuses this page');
});

test('a mark follows the run of its cell, and keeps the receipt when it is moved', async () => {
  const cell = await add('%%torch\n');
  cell.outputArea = { future: { msg: { header: { msg_id: 'message-one' } } } };
  known.set({ url: 'http://here:1', token: 'secret' });
  status.say(CONNECTED('cuda', 2 ** 20));
  change('running', { message: 'another' });
  await eventually(() => cell.mark!.dataset.state === 'idle');
  change('running', { message: 'message-one' });
  await eventually(() => cell.mark!.dataset.state === 'running');
  assert.equal(cell.mark!.textContent, '%%torch · cuda · 0:00 · 1.0 MiB');
  const receipt = { device: 'cuda', seconds: 2, peak: 1, bytesUp: 0, bytesDown: 0 };
  change('ended', { receipt });
  await eventually(() => cell.mark!.dataset.state === 'idle');
  assert.equal(cell.mark!.textContent, '%%torch · cuda · 2.0 s');
  const moved = new Cell('%%torch\n');
  moved.model.id = cell.model.id;
  cell.dispose();
  notebook.add(moved);
  await eventually(() => moved.mark);
  assert.equal(moved.mark!.textContent, '%%torch · cuda · 2.0 s');
});

test('what runs ends with its kernel', async () => {
  const cell = await add('%%torch\n');
  cell.outputArea = { future: { msg: { header: { msg_id: 'message-one' } } } };
  change('running', { message: 'message-one' });
  await eventually(() => cell.mark!.dataset.state === 'running');
  lines.transferred.emit({ line: { kernelId: 'kernel-two' }, message: null });
  assert.equal(cell.mark!.dataset.state, 'running');
  lines.transferred.emit({ line: { kernelId: 'kernel-one' }, message: null });
  assert.equal(cell.mark!.dataset.state, 'idle');
});
