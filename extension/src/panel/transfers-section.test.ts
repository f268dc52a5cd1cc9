import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import { trans } from '../../testing/jupyterlab';
import { openLine } from '../../testing/worker';
import { Transfers } from '../kernels/transfers';
import { TransfersSection } from './transfers-section';

const transfer = { id: 'a', name: '`x` to the server', done: 0, total: 2048, left: null };

test('each transfer has a bar and a button, which keep their place', async () => {
  const { line, worker } = openLine();
  const transfers = new Transfers({ transferred: new Signal({}) } as never);
  const section = new TransfersSection(transfers, trans);
  transfers.moved(line, transfer);
  assert.equal(section.node.querySelector('li'), null);
  Widget.attach(section, document.body);
  const item = section.node.querySelector('li')!;
  assert.match(item.textContent!, /^x to the server0 B of 2\.0 KiBCancel$/);
  assert.ok(section.node.querySelector('p')!.hidden);
  transfers.moved(line, { ...transfer, done: 1024, left: 61 });
  assert.equal(section.node.querySelector('li'), item);
  assert.match(item.textContent!, /1\.0 KiB of 2\.0 KiB, 1:01 left/);
  const button = item.querySelector('button')!;
  assert.equal(button.getAttribute('aria-label'), 'Cancel: x to the server');
  button.click();
  button.click();
  assert.deepEqual(await worker.rest(), [{ type: 'cancel', id: 'a' }]);
  transfers.ended(line, 'a');
  assert.equal(section.node.querySelector('li'), null);
  assert.ok(!section.node.querySelector('p')!.hidden);
  section.dispose();
  line.close();
});
