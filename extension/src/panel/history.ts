/** A small drawing of how a share has been in the last minutes. */

export const HISTORY_MS = 5 * 60_000;

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 300;
const HEIGHT = 32;
/** Where nothing was asked for longer, the curve is broken. */
const GAP_MS = 15_000;

/** `value` is up to 1, `at` in the milliseconds of `performance.now()`. */
export interface IPoint {
  at: number;
  value: number;
}

export class Drawing {
  constructor() {
    this.node.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.node.setAttribute('preserveAspectRatio', 'none');
    this.node.setAttribute('role', 'img');
    this.node.classList.add('jp-Torch-drawing');
    this._area.classList.add('jp-Torch-area');
    this._curve.classList.add('jp-Torch-curve');
    this.node.append(this._area, this._curve);
  }

  readonly node = document.createElementNS(SVG, 'svg');

  /** Draw the points, the oldest first, up to `now`; `label` says it to those who see no picture. */
  draw(points: IPoint[], now: number, label: string): void {
    const x = (at: number) => WIDTH * (1 - (now - at) / HISTORY_MS);
    const y = (value: number) => HEIGHT - 1 - (HEIGHT - 2) * Math.max(0, Math.min(1, value));
    let curve = '';
    let area = '';
    points.forEach(({ at, value }, index) => {
      const place = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      const before = points[index - 1];
      const after = points[index + 1];
      const begins = !before || at - before.at > GAP_MS;
      curve += `${begins ? 'M' : 'L'}${place}`;
      area += begins ? `M${x(at).toFixed(1)} ${HEIGHT}L${place}` : `L${place}`;
      if (!after || after.at - at > GAP_MS) {
        area += `L${x(at).toFixed(1)} ${HEIGHT}Z`;
      }
    });
    this._curve.setAttribute('d', curve);
    this._area.setAttribute('d', area);
    this.node.setAttribute('aria-label', label);
  }

  private _area = document.createElementNS(SVG, 'path');
  private _curve = document.createElementNS(SVG, 'path');
}
