import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openLine } from '../../testing/worker';
import type { FromWorker } from '../messages';

test('the worker is greeted with its session and its end of the line', () => {
  const { line, worker } = openLine();
  assert.deepEqual(worker.greeting, {
    type: 'jupyterlite-torch',
    session: 'session-one',
    server: null,
    default: null
  });
  assert.equal(line.session, 'session-one');
  line.close();
});

test('messages go both ways', async () => {
  let heard: (message: FromWorker) => void;
  const message = new Promise<FromWorker>(resolve => (heard = resolve));
  const { line, worker } = openLine((from, message) => {
    assert.equal(from, line);
    heard(message);
  });
  line.send({ type: 'interrupt' });
  assert.deepEqual(await worker.next(), { type: 'interrupt' });
  worker.say({ type: 'disconnected', more: 1 });
  assert.deepEqual(await message, { type: 'disconnected' });
  line.close();
});

test('what is none of ours is dropped, and the console says so', async t => {
  const warned = t.mock.method(console, 'warn', () => {});
  const heard: FromWorker[] = [];
  const { line, worker } = openLine((_, message) => heard.push(message));
  worker.say({ type: 'comlink' });
  await worker.rest();
  assert.deepEqual([heard.length, warned.mock.callCount()], [0, 1]);
  line.close();
});

test('a line that is closed says so, and sends nothing', async () => {
  const { line, worker } = openLine();
  assert.equal(line.closed, false);
  line.close();
  assert.equal(line.closed, true);
  line.send({ type: 'interrupt' });
  assert.deepEqual(await worker.rest(), []);
});
