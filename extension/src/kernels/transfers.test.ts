import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Signal } from '@lumino/signaling';

import { openLine } from '../../testing/worker';
import type { Lines } from './lines';
import { Transfers } from './transfers';

const lines = { transferred: new Signal({}) } as unknown as Pick<Lines, 'transferred'>;
const transfer = (id: string, done = 0) => ({ id, name: 'x', done, total: 10, left: null });

test('those under way are told of, until they have ended', () => {
  const { line } = openLine();
  const transfers = new Transfers(lines);
  let changes = 0;
  transfers.changed.connect(() => changes++);
  transfers.moved(line, transfer('a'));
  transfers.moved(line, transfer('b'));
  transfers.moved(line, transfer('a', 5));
  assert.deepEqual(transfers.now, [transfer('a', 5), transfer('b')]);
  transfers.ended(line, 'a');
  transfers.ended(line, 'a');
  assert.deepEqual([transfers.now.length, changes], [1, 4]);
  line.close();
});

test('one is cancelled by the worker that it belongs to', async () => {
  const one = openLine();
  const two = openLine();
  const transfers = new Transfers(lines);
  transfers.moved(one.line, transfer('a'));
  transfers.moved(two.line, transfer('b'));
  transfers.cancel('b');
  transfers.cancel('c');
  assert.deepEqual(await two.worker.next(), { type: 'cancel', id: 'b' });
  assert.deepEqual(await one.worker.rest(), []);
  // Another kernel says nothing of it.
  transfers.ended(one.line, 'b');
  transfers.forget(one.line);
  assert.deepEqual(transfers.now, [transfer('b')]);
  one.line.close();
  two.line.close();
});

test('what a kernel says is followed', () => {
  const { line } = openLine();
  const transfers = new Transfers(lines);
  const say = (message: object | null) =>
    lines.transferred.emit({ line, message: message as { type: 'transfer'; id: string } | null });
  say({ type: 'transfer', ...transfer('a') });
  say({ type: 'transfer', ...transfer('b'), done: 'all' });
  assert.deepEqual(transfers.now, [transfer('a')]);
  say({ type: 'transfer-ended', id: 'a' });
  assert.deepEqual(transfers.now, []);
  say({ type: 'transfer', ...transfer('a') });
  say(null);
  assert.deepEqual(transfers.now, []);
  line.close();
});
