import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { settled } from '../../testing/worker';
import { dragRow } from './drag-row';

let row: HTMLElement;
let browser: HTMLElement;
let elsewhere: HTMLElement;
let under: Element | null;
let dropped: number;

beforeEach(() => {
  document.body.innerHTML =
    '<div class="row"><span>a.pt</span><button>Get</button></div>' +
    '<div class="jp-FileBrowser"><ul><li>b.ipynb</li></ul></div><p>elsewhere</p>';
  row = document.querySelector('.row')!;
  browser = document.querySelector('.jp-FileBrowser li')!;
  elsewhere = document.querySelector('p')!;
  under = null;
  // happy-dom lays out nothing.
  document.elementFromPoint = () => under;
  dropped = 0;
  dragRow(row, 'a.pt', () => dropped++);
});

function point(type: string, target: EventTarget, x: number, button = 0): void {
  const at = { clientX: x, clientY: 10, button };
  target.dispatchEvent(new PointerEvent(type, { bubbles: true, cancelable: true, ...at }));
}

const image = () => document.querySelector('.jp-Torch-files-drag');

/** Drag it over something, and let it go there. */
async function dragTo(target: Element): Promise<void> {
  point('pointerdown', row, 10);
  point('pointermove', document, 20);
  assert.equal(image()?.textContent, 'a.pt');
  under = target;
  point('pointermove', document, 200);
  point('pointerup', document, 200);
  await settled();
  assert.equal(image(), null);
}

test('a row that is dropped on the file browser is told', async () => {
  await dragTo(browser);
  assert.equal(dropped, 1);
});

test('a row that is dropped elsewhere, or with Escape, is not', async () => {
  await dragTo(elsewhere);
  point('pointerdown', row, 10);
  point('pointermove', document, 20);
  under = browser;
  point('pointermove', document, 200);
  document.dispatchEvent(Object.assign(new KeyboardEvent('keydown'), { keyCode: 27 }));
  await settled();
  point('pointerup', document, 200);
  assert.equal(image(), null);
  assert.equal(dropped, 0);
});

test('a click, another button of the mouse, and the button in the row drag nothing', () => {
  point('pointerdown', row, 10);
  point('pointermove', document, 14);
  assert.equal(image(), null);
  point('pointerup', document, 14);
  // The mouse moves on, with nothing held.
  point('pointermove', document, 100);
  assert.equal(image(), null);
  point('pointerdown', row, 10, 2);
  point('pointermove', document, 100);
  assert.equal(image(), null);
  point('pointerdown', row.querySelector('button')!, 10);
  point('pointermove', document, 100);
  assert.equal(image(), null);
});

test('what is dragged over the file browser later is none of its business', async () => {
  await dragTo(browser);
  const later = new DragEvent('lm-drop', { bubbles: true, cancelable: true });
  browser.dispatchEvent(later);
  assert.equal(later.defaultPrevented, false);
  assert.equal(dropped, 1);
});
