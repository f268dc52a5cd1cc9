import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { eventually, trans } from '../../testing/jupyterlab';
import { type IRun, Mark } from './mark';
import { ReceiptTip } from './receipt-tip';

let run: IRun;
let mark: Mark;

const tip = () => document.querySelector('[role=tooltip]');

beforeEach(() => {
  document.body.replaceChildren();
  run = { since: null, receipt: null };
  mark = new Mark(run, new ReceiptTip(trans), () => {}, trans);
  document.body.append(mark.node);
});

test('it is there with the focus, and goes with it or with Escape', () => {
  mark.node.focus();
  assert.equal(tip()!.textContent, 'Not run since this page was opened.');
  mark.node.blur();
  assert.equal(tip(), null);
  mark.node.focus();
  document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
  assert.equal(tip(), null);
});

test('it is there below the pointer, which can go onto it', async () => {
  mark.node.dispatchEvent(new Event('pointerenter'));
  mark.node.dispatchEvent(new Event('pointerleave'));
  tip()!.dispatchEvent(new Event('pointerenter'));
  tip()!.dispatchEvent(new Event('pointerleave'));
  assert.ok(tip());
  await eventually(() => tip() === null);
});

test('it says what is new while it is there', () => {
  mark.node.focus();
  run.since = performance.now();
  mark.show('cpu', null);
  assert.match(tip()!.textContent!, /^It runs/);
  run.since = null;
  run.receipt = { device: 'cpu', seconds: 2, peak: null, bytesUp: 1, bytesDown: 2 };
  mark.show('cpu', null);
  assert.deepEqual(
    Array.from(tip()!.querySelectorAll('dd'), ({ textContent }) => textContent),
    ['cpu', '2.0 s', 'none', '1 B', '2 B']
  );
});

test('it goes with its mark', () => {
  mark.node.focus();
  mark.dispose();
  assert.equal(tip(), null);
});
