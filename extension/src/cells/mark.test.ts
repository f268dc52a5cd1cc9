import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { trans } from '../../testing/jupyterlab';
import { type IRun, Mark } from './mark';
import { ReceiptTip } from './receipt-tip';

const RECEIPT = { device: 'NVIDIA H200', seconds: 3, peak: 2 ** 31, bytesUp: 1024, bytesDown: 0 };

let run: IRun;
let mark: Mark;

beforeEach(() => {
  document.body.replaceChildren();
  run = { since: null, receipt: null };
  mark = new Mark(run, new ReceiptTip(trans), () => {}, trans);
  document.body.append(mark.node);
});

test('it says where the cell runs', () => {
  mark.show('cpu', null);
  assert.equal(mark.node.textContent, '%%torch · cpu');
  assert.equal(mark.node.getAttribute('aria-label'), '%%torch, cpu');
  assert.deepEqual(mark.rows(), []);
});

test('it counts while the cell runs, with the memory', () => {
  run.since = performance.now() - 61_500;
  mark.show('cpu', 3 * 2 ** 30);
  assert.equal(mark.node.textContent, '%%torch · cpu · 1:01 · 3.0 GiB');
  assert.equal(mark.node.dataset.state, 'running');
});

test('afterwards its name has the whole receipt', () => {
  run.receipt = RECEIPT;
  mark.show('cpu', null);
  assert.equal(mark.node.textContent, '%%torch · cpu · 3.0 s');
  assert.equal(
    mark.node.getAttribute('aria-label'),
    '%%torch, cpu, 3.0 s. Device: NVIDIA H200. Time: 3.0 s. Peak GPU memory: 2.0 GiB. ' +
      'Sent: 1.0 KiB. Received: 0 B'
  );
  run.receipt = { ...RECEIPT, device: null, seconds: null, peak: null };
  const said = mark.rows().map(([, value]) => value);
  assert.deepEqual(said, ['unknown', 'unknown', 'none', '1.0 KiB', '0 B']);
});

test('it goes, once', () => {
  mark.dispose();
  mark.dispose();
  assert.ok(mark.isDisposed);
  assert.equal(document.querySelector('.jp-Torch-mark'), null);
});
