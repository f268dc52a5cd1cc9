import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Widget } from '@lumino/widgets';

import { trans } from '../../testing/jupyterlab';
import { buttonOf, rowOf, rowsOf } from '../../testing/panel';
import { Table } from './table';

interface IRow {
  name: string;
  bytes: number;
}

/** As in table.ts. */
const ROW_PX = 24;

let table: Table<IRow>;

afterEach(() => table.dispose());

function show(...rows: [string, number][]): void {
  table = new Table<IRow>({
    label: 'Variables',
    columns: [
      { label: 'Name', text: ({ name }) => name, width: 5 },
      {
        label: 'Size',
        text: ({ bytes }) => `${bytes} B`,
        order: ({ bytes }) => bytes,
        numeric: true,
        width: 3
      }
    ],
    key: ({ name }) => name,
    sortBy: 1,
    empty: 'There is nothing.',
    trans
  });
  Widget.attach(table, document.body);
  fill(...rows);
}

function fill(...rows: [string, number][]): void {
  table.setRows(rows.map(([name, bytes]) => ({ name, bytes })));
}

/** Rows of these many numbers, the largest first. */
const many = (count: number) =>
  Array.from({ length: count }, (_, index): [string, number] => [`v${index}`, count - index]);

/** Give the table a height, as a style sheet does. */
function setHeight(pixels: number): void {
  Object.defineProperty(table.node, 'clientHeight', { value: pixels });
}

function scrollTo(pixels: number): void {
  table.node.scrollTop = pixels;
  table.node.dispatchEvent(new Event('scroll'));
}

function type(key: string): void {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true });
  document.activeElement!.dispatchEvent(event);
  assert.ok(event.defaultPrevented);
}

const names = () => rowsOf(table).map(([name]) => name);
const focused = () => (document.activeElement as HTMLElement).dataset.key;
const sorts = () =>
  Array.from(table.node.querySelectorAll('thead th'), head => head.getAttribute('aria-sort'));

test('the largest number is first, and each column can be sorted by', () => {
  show(['b2', 5], ['b10', 70], ['a', 5]);
  assert.deepEqual(rowsOf(table), [
    ['b10', '70 B'],
    ['a', '5 B'],
    ['b2', '5 B']
  ]);
  assert.deepEqual(sorts(), [null, 'descending']);
  buttonOf(table, 'Name').click();
  assert.deepEqual(names(), ['a', 'b2', 'b10']);
  assert.deepEqual(sorts(), ['ascending', null]);
  buttonOf(table, 'Name').click();
  assert.deepEqual(names(), ['b10', 'b2', 'a']);
  assert.deepEqual(sorts(), ['descending', null]);
  fill(['c', 1], ['d', 2]);
  assert.deepEqual(names(), ['d', 'c']);
});

test('a row stays selected and in focus through refreshes, as long as it is there', () => {
  show(['a', 3], ['b', 2]);
  let changes = 0;
  table.selectionChanged.connect(() => changes++);
  rowOf(table, 'a').click();
  const element = rowOf(table, 'a');
  assert.deepEqual([table.selected?.name, focused(), changes], ['a', 'a', 1]);
  fill(['a', 1], ['b', 2]);
  assert.deepEqual(names(), ['b', 'a']);
  assert.equal(rowOf(table, 'a'), element);
  assert.equal(element.getAttribute('aria-selected'), 'true');
  assert.equal(element.tabIndex, 0);
  assert.deepEqual([table.selected?.bytes, focused(), changes], [1, 'a', 1]);
  fill(['b', 2]);
  assert.deepEqual([table.selected, changes], [null, 2]);
  assert.equal(rowOf(table, 'b').tabIndex, 0);
  assert.equal(document.activeElement, table.node);
});

test('keys go from row to row, and open one', () => {
  show(...many(30));
  setHeight(10 * ROW_PX);
  let opened = 0;
  table.opened.connect(() => opened++);
  rowOf(table, 'v0').focus();
  for (const [key, at] of [
    [' ', 'v0'],
    ['ArrowDown', 'v1'],
    ['ArrowDown', 'v2'],
    ['ArrowUp', 'v1'],
    ['PageDown', 'v9'],
    ['End', 'v29'],
    ['ArrowDown', 'v29'],
    ['PageUp', 'v21'],
    ['Home', 'v0'],
    ['ArrowUp', 'v0']
  ] as const) {
    type(key);
    assert.deepEqual([table.selected?.name, focused()], [at, at], key);
  }
  assert.equal(opened, 0);
  type('Enter');
  assert.equal(opened, 1);
  rowOf(table, 'v1').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
  assert.equal(opened, 2);
  // The buttons of the head have keys of their own.
  const enter = new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true });
  buttonOf(table, 'Name').dispatchEvent(enter);
  assert.ok(!enter.defaultPrevented);
  assert.equal(opened, 2);
});

test('only what is in view is in the document, in its place among all', () => {
  show();
  setHeight(10 * ROW_PX);
  fill(...many(10_000));
  const [above, below] = table.node.querySelectorAll<HTMLElement>('[aria-hidden]');
  const isInPlace = (first: number) => {
    const shown = names();
    assert.ok(shown.length < 40, String(shown.length));
    assert.equal(shown[0], `v${first}`);
    const row = rowOf(table, shown[0]!);
    // The head is the first one.
    assert.equal(row.getAttribute('aria-rowindex'), String(first + 2));
    assert.equal(above!.style.height, `${first * ROW_PX}px`);
    assert.equal(below!.style.height, `${(10_000 - first - shown.length) * ROW_PX}px`);
    assert.equal(above!.nextElementSibling, row);
  };
  assert.equal(table.node.querySelector('table')!.getAttribute('aria-rowcount'), '10001');
  isInPlace(0);
  scrollTo(5000 * ROW_PX);
  assert.ok(names().includes('v5000') && names().includes('v5009'));
  isInPlace(5000 - 8);
  scrollTo(0);
  isInPlace(0);
  // One that has the focus gives it to the table when it leaves the document.
  rowOf(table, 'v3').click();
  scrollTo(5000 * ROW_PX);
  assert.equal(document.activeElement, table.node);
  type('ArrowDown');
  assert.equal(focused(), 'v4');
  isInPlace(0);
});

test('a table without rows says so', () => {
  show();
  const empty = table.node.querySelector<HTMLElement>('.jp-Torch-empty')!;
  assert.equal(empty.textContent, 'There is nothing.');
  assert.ok(!empty.hidden);
  fill(['a', 1]);
  assert.ok(empty.hidden);
  fill();
  assert.ok(!empty.hidden);
  assert.deepEqual(rowsOf(table), []);
});
