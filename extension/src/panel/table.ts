/** A table of which only the rows in view are in the document, with a selected row and sorting. */

import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

/** The height of a row in pixels; the style sheet takes it from here. */
const ROW_PX = 24;
/** Rows beyond the edges of the view. */
const OVERSCAN = 8;
/** More are never in the document, however high the view is. */
const MOST_ROWS = 200;

export interface IColumn<T> {
  label: string;
  text: (row: T) => string;
  /** What to sort by; without it the text. */
  order?: (row: T) => number;
  /** Numbers, which stand at the right and begin with the largest when sorted. */
  numeric?: boolean;
  /** In em. It does not depend on the rows in view, so that nothing moves when they change. */
  width: number;
}

export interface ITableOptions<T> {
  /** What the table holds, for screen readers. */
  label: string;
  /** The first one is the rows' heading. */
  columns: IColumn<T>[];
  /** Tells rows apart, and is one row's through all refreshes. */
  key: (row: T) => string;
  /** The column that is sorted by at first. */
  sortBy: number;
  /** What is said instead of rows. */
  empty: string;
  trans: TranslationBundle;
}

export class Table<T> extends Widget {
  constructor(private readonly _options: ITableOptions<T>) {
    super();
    this.addClass('jp-Torch-table');
    this.node.style.setProperty('--jp-Torch-row', `${ROW_PX}px`);
    this._sort = _options.sortBy;
    this._descending = Boolean(_options.columns[this._sort]?.numeric);
    this._table.setAttribute('aria-label', _options.label);
    this._table.append(this._makeWidths(), this._makeHead(), this._body);
    this._body.append(this._above, this._below);
    this._empty.className = 'jp-Torch-empty';
    this._empty.textContent = _options.empty;
    this.node.append(this._table, this._empty);
    // Takes the focus when the row that has it is scrolled away.
    this.node.tabIndex = -1;
    this.node.addEventListener('scroll', () => this._render(), { passive: true });
    this.node.addEventListener('keydown', event => this._onKey(event));
    this._body.addEventListener('click', event => this._onClick(event));
    this._body.addEventListener('dblclick', () => this.opened.emit());
    // When a section is folded open or a border is moved, too.
    this._observer = new ResizeObserver(() => this._render());
    this._observer.observe(this.node);
  }

  /** Emitted when another row is selected, or none. */
  readonly selectionChanged = new Signal<this, void>(this);

  /** Emitted when a row was clicked twice or Enter was pressed on it. */
  readonly opened = new Signal<this, void>(this);

  get selected(): T | null {
    return this._rows.find(row => this._key(row) === this._selected) ?? null;
  }

  select(key: string | null): void {
    if (key !== this._selected) {
      this._selected = key;
      this._render();
      this.selectionChanged.emit();
    }
  }

  /** Show these rows. The selected one, the focus and the place in the table stay. */
  setRows(rows: T[]): void {
    this._rows = rows;
    if (this._selected !== null && this.selected === null) {
      this._selected = null;
      this.selectionChanged.emit();
    }
    this._order();
  }

  override dispose(): void {
    this._observer.disconnect();
    Signal.clearData(this);
    super.dispose();
  }

  private _makeWidths(): HTMLElement {
    const group = document.createElement('colgroup');
    const widths = this._options.columns.map(({ width }) => width);
    for (const width of widths) {
      const column = document.createElement('col');
      column.style.width = `${width}em`;
      group.append(column);
    }
    const sum = widths.reduce((a, b) => a + b, 0);
    this._table.style.width = `max(100%, ${sum}em)`;
    return group;
  }

  private _makeHead(): HTMLElement {
    const head = document.createElement('thead');
    const row = head.insertRow();
    row.setAttribute('aria-rowindex', '1');
    this._options.columns.forEach(({ label, numeric }, index) => {
      const cell = document.createElement('th');
      cell.scope = 'col';
      cell.classList.toggle('jp-mod-numeric', Boolean(numeric));
      const button = document.createElement('button');
      button.textContent = label;
      button.title = this._options.trans.__('Sort by %1', label);
      button.addEventListener('click', () => {
        this._descending = this._sort === index ? !this._descending : Boolean(numeric);
        this._sort = index;
        this._order();
      });
      cell.append(button);
      row.append(cell);
      this._heads.push(cell);
    });
    return head;
  }

  private _order(): void {
    const column = this._options.columns[this._sort];
    const sign = this._descending ? -1 : 1;
    const compare = column?.order
      ? (
          (order: (row: T) => number) => (a: T, b: T) =>
            order(a) - order(b)
        )(column.order)
      : (a: T, b: T) => COLLATOR.compare(column?.text(a) ?? '', column?.text(b) ?? '');
    this._sorted = [...this._rows].sort(
      (a, b) => sign * compare(a, b) || COLLATOR.compare(this._key(a), this._key(b))
    );
    this._heads.forEach((head, index) => {
      if (index === this._sort) {
        head.setAttribute('aria-sort', this._descending ? 'descending' : 'ascending');
      } else {
        head.removeAttribute('aria-sort');
      }
    });
    this._table.setAttribute('aria-rowcount', String(this._sorted.length + 1));
    this._empty.hidden = this._sorted.length > 0;
    this._render();
  }

  /** Put the rows in view into the document, and take the others out. */
  private _render(): void {
    const total = this._sorted.length;
    const inView = Math.ceil(this.node.clientHeight / ROW_PX) + 2 * OVERSCAN;
    const count = Math.min(total, inView, MOST_ROWS);
    const top = Math.floor(this.node.scrollTop / ROW_PX) - OVERSCAN;
    const first = Math.max(0, Math.min(top, total - count));
    const shown = this._sorted.slice(first, first + count);
    const keys = new Set(shown.map(this._key));
    const focused = this._focusedKey();
    for (const [key, element] of this._elements) {
      if (!keys.has(key)) {
        if (key === focused) {
          this.node.focus({ preventScroll: true });
        }
        element.remove();
        this._elements.delete(key);
      }
    }
    const tabStop = keys.has(this._selected ?? '')
      ? this._selected
      : shown[0] && this._key(shown[0]);
    let place: Element | null = this._above.nextElementSibling;
    shown.forEach((row, index) => {
      const key = this._key(row);
      const element = this._elements.get(key) ?? this._makeRow(key);
      this._fill(element, row, first + index);
      element.tabIndex = key === tabStop ? 0 : -1;
      element.setAttribute('aria-selected', String(key === this._selected));
      if (element === place) {
        place = element.nextElementSibling;
      } else {
        this._body.insertBefore(element, place);
      }
    });
    this._above.style.height = `${first * ROW_PX}px`;
    this._below.style.height = `${(total - first - count) * ROW_PX}px`;
    // A row that was moved has lost it.
    if (focused !== null && this._focusedKey() !== focused) {
      this._elements.get(focused)?.focus({ preventScroll: true });
    }
  }

  private _makeRow(key: string): HTMLTableRowElement {
    const element = document.createElement('tr');
    this._options.columns.forEach(({ numeric }, index) => {
      const cell = document.createElement(index === 0 ? 'th' : 'td');
      if (index === 0) {
        cell.setAttribute('scope', 'row');
      }
      cell.classList.toggle('jp-mod-numeric', Boolean(numeric));
      element.append(cell);
    });
    element.dataset.key = key;
    this._elements.set(key, element);
    return element;
  }

  private _fill(element: HTMLTableRowElement, row: T, index: number): void {
    element.setAttribute('aria-rowindex', String(index + 2));
    this._options.columns.forEach((column, at) => {
      const cell = element.cells[at];
      const text = column.text(row);
      if (cell && cell.textContent !== text) {
        cell.textContent = text;
        cell.title = text;
      }
    });
  }

  private _onClick(event: MouseEvent): void {
    const element = (event.target as Element).closest<HTMLElement>('tr[data-key]');
    if (element) {
      this.select(element.dataset.key ?? null);
      element.focus({ preventScroll: true });
    }
  }

  private _onKey(event: KeyboardEvent): void {
    if ((event.target as Element).closest('thead')) {
      return;
    }
    if (event.key === 'Enter' && this._selected !== null) {
      this.opened.emit();
    } else if (event.key === ' ') {
      this._focus(this._sorted.findIndex(row => this._key(row) === this._focusedKey()));
    } else {
      const step = this._step(event.key);
      if (step === null) {
        return;
      }
      const from = this._focusedKey() ?? this._selected;
      const at = this._sorted.findIndex(row => this._key(row) === from);
      this._focus(at + step);
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private _step(key: string): number | null {
    const page = Math.max(1, Math.floor(this.node.clientHeight / ROW_PX) - 2);
    const steps: Record<string, number> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity
    };
    return steps[key] ?? null;
  }

  /** Select the row of this place, or the nearest one, and give it the focus. */
  private _focus(index: number): void {
    const at = Math.max(0, Math.min(index, this._sorted.length - 1));
    const row = this._sorted[at];
    if (row === undefined) {
      return;
    }
    // The head covers the first row of the view.
    const top = at * ROW_PX;
    const bottom = top + 2 * ROW_PX - this.node.clientHeight;
    this.node.scrollTop = Math.max(bottom, Math.min(this.node.scrollTop, top));
    this._render();
    this.select(this._key(row));
    this._elements.get(this._key(row))?.focus({ preventScroll: true });
  }

  private _focusedKey(): string | null {
    const focused = document.activeElement;
    return focused instanceof HTMLElement && focused.parentElement === this._body
      ? (focused.dataset.key ?? null)
      : null;
  }

  private _key = (row: T): string => this._options.key(row);

  private _rows: T[] = [];
  private _sorted: T[] = [];
  private _sort: number;
  private _descending: boolean;
  private _selected: string | null = null;
  private _heads: HTMLElement[] = [];
  private _elements = new Map<string, HTMLTableRowElement>();
  private _table = document.createElement('table');
  private _body = document.createElement('tbody');
  /** They have the height of what is not in the document. */
  private _above = spacer();
  private _below = spacer();
  private _empty = document.createElement('p');
  private _observer: ResizeObserver;
}

const COLLATOR = new Intl.Collator(undefined, { numeric: true });

function spacer(): HTMLTableRowElement {
  const row = document.createElement('tr');
  row.setAttribute('aria-hidden', 'true');
  row.className = 'jp-Torch-spacer';
  return row;
}
