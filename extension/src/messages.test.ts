import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readMessage } from './messages';

const MESSAGES = [
  { type: 'ask-server', id: 'a', url: null },
  { type: 'ask-server', id: 'a', url: 'http://127.0.0.1:8889' },
  { type: 'ask-doctor', id: 'a', url: null },
  { type: 'connected', url: 'http://127.0.0.1:8889' },
  { type: 'disconnected' },
  { type: 'cell', state: 'running', id: 'a', message: 'b', background: false, receipt: null },
  { type: 'cell', state: 'ended', id: 'a', message: null, background: true, receipt: null },
  { type: 'transfer', id: 'a', name: 'x', done: 0, total: 1, left: null },
  { type: 'transfer', id: 'a', name: 'x', done: 0, total: 1, left: 0.5 },
  { type: 'transfer-ended', id: 'a' },
  { type: 'ask-input', id: 'a', prompt: '', password: true, cell: null },
  { type: 'ask-input', id: 'a', prompt: 'Name: ', password: false, cell: 'b' },
  { type: 'withdraw-input', id: 'a' }
];

test('messages are read with their own fields and no others', () => {
  for (const message of MESSAGES) {
    assert.deepEqual(readMessage({ ...message, more: 1 }), message);
  }
});

test('a message that lacks a field, or has it of another type, is none', () => {
  for (const message of MESSAGES) {
    for (const name of Object.keys(message)) {
      const { [name]: _, ...lacking } = message as Record<string, unknown>;
      assert.equal(readMessage(lacking), null, `${message.type} without ${name}`);
      const wrong = typeof message[name as keyof typeof message] === 'number' ? '7' : 7;
      if (name === 'left') {
        continue; // It is null or a number.
      }
      assert.equal(readMessage({ ...message, [name]: wrong }), null, `${message.type}.${name}`);
    }
  }
});

test('a receipt has what the server says, as far as it can be', () => {
  const cell = { type: 'cell', state: 'ended', id: 'a', message: null, background: false };
  const said = { device: 'cpu', seconds: 1, peak: null, bytes_up: 2, bytes_down: 3 };
  const read = (receipt: object) => {
    const message = readMessage({ ...cell, receipt });
    assert.ok(message?.type === 'cell');
    return message.receipt;
  };
  const receipt = { device: 'cpu', seconds: 1, peak: null, bytesUp: 2, bytesDown: 3 };
  assert.deepEqual(read(said), receipt);
  assert.deepEqual(read({ device: 1, seconds: -1, peak: NaN, bytes_up: '1' }), {
    device: null,
    seconds: null,
    peak: null,
    bytesUp: 0,
    bytesDown: 0
  });
  assert.equal(read({ ...said, device: 'x'.repeat(1000) })?.device?.length, 200);
});

test('other things are none', () => {
  for (const data of [null, undefined, 'connected', 7, [], {}, { type: 'other' }]) {
    assert.equal(readMessage(data), null);
  }
  assert.equal(readMessage({ type: 'cell', state: 'queued', id: 'a' }), null);
});
