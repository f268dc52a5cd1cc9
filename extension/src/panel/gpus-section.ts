/** The server's GPUs: memory and load, now and in the last minutes. */

import { size } from '../amounts';
import type { IGpu } from '../status/server-status';
import { Drawing, HISTORY_MS, type IPoint } from './history';
import { Section, type IPanel } from './section';

export class GpusSection extends Section {
  constructor(panel: IPanel) {
    super(panel, panel.trans.__('GPUs'));
    this.addClass('jp-Torch-gpus');
    this._sentence.className = 'jp-Torch-empty';
    this.node.append(this._sentence, this._list);
  }

  override refresh(): void {
    const { status, trans } = this.panel;
    const url = status.state === 'on' ? status.url : null;
    if (status.state === 'on') {
      if (url !== this._url || status.gpus.length !== this._gpus.length) {
        this._url = url;
        this._gpus = status.gpus.map(() => new GpuView(this.panel));
        this._list.replaceChildren(...this._gpus.map(({ node }) => node));
      }
      status.gpus.forEach((gpu, index) => this._gpus[index]?.show(gpu, status.since));
    }
    this._list.hidden = status.state !== 'on' || status.gpus.length === 0;
    this._sentence.hidden = !this._list.hidden;
    const { session } = status.state === 'on' ? status : { session: null };
    this._sentence.textContent =
      status.state !== 'on'
        ? trans.__('There is no server to ask.')
        : session?.device && session.device !== 'cpu'
          ? trans.__(
              'Cells run on %1, of which the server knows no more.',
              session.device_name || session.device
            )
          : trans.__('This server has no GPU: cells run on its processors (%1).', 'cpu');
  }

  private _sentence = document.createElement('p');
  private _list = document.createElement('ul');
  private _gpus: GpuView[] = [];
  private _url: string | null = null;
}

/** One GPU. */
class GpuView {
  constructor(private readonly _panel: IPanel) {
    this._name.className = 'jp-Torch-gpu';
    this.node.append(this._name, this._memory.node, this._load.node);
  }

  readonly node = document.createElement('li');

  show({ index, name, used, total, load }: IGpu, at: number): void {
    const { trans } = this._panel;
    const now = performance.now();
    this._name.textContent = trans.__('%1: %2', index, name);
    this._memory.show(
      used === null || total === null
        ? trans.__('Memory: the driver does not tell')
        : trans.__('Memory: %1 of %2', size(used), size(total)),
      used === null || !total ? null : used / total,
      at,
      now
    );
    this._load.show(
      load === null
        ? trans.__('Load: the driver does not tell')
        : trans.__('Load: %1 %', String(Math.round(load * 100))),
      load,
      at,
      now
    );
  }

  private _name = document.createElement('div');
  private _memory = new Measure();
  private _load = new Measure();
}

/** A text and a drawing of one share. */
class Measure {
  constructor() {
    this.node.className = 'jp-Torch-measure';
    this.node.append(this._text, this._drawing.node);
  }

  readonly node = document.createElement('div');

  show(text: string, value: number | null, at: number, now: number): void {
    this._text.textContent = text;
    this._points = this._points.filter(point => now - point.at < HISTORY_MS);
    if (value !== null && this._points.at(-1)?.at !== at) {
      this._points.push({ at, value });
    }
    this._drawing.node.toggleAttribute('hidden', this._points.length === 0);
    this._drawing.draw(this._points, now, text);
  }

  private _text = document.createElement('div');
  private _drawing = new Drawing();
  private _points: IPoint[] = [];
}
