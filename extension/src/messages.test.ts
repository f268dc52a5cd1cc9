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
      assert.equal(readMessage({ ...message, [name]: 7 }), null, `${message.type}.${name}`);
    }
  }
});

test('other things are none', () => {
  for (const data of [null, undefined, 'connected', 7, [], {}, { type: 'other' }]) {
    assert.equal(readMessage(data), null);
  }
  assert.equal(readMessage({ type: 'cell', state: 'queued', id: 'a' }), null);
});
