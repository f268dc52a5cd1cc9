import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { eventually } from '../../testing/jupyterlab';
import { serve, type IAnswer } from '../../testing/server';
import { KnownServer } from '../connect/known-server';
import { ServerStatus, type Status } from './server-status';

const GPU = { index: '0', name: 'H200', used: 2 ** 30, total: 2 ** 37, load: 0.5 };
const IDLE = { state: 'idle', device: 'cuda', cell_s: null, queued: 0 };

let known: KnownServer;
let answer: IAnswer;
let status: ServerStatus;
const server = await serve(() => answer);
let session: string | null;

beforeEach(() => {
  sessionStorage.clear();
  session = null;
  known = new KnownServer(sessionStorage, null);
  answer = { body: { gpus: [GPU], session: IDLE } };
  server.requests.length = 0;
  mock.timers.enable({ apis: ['setTimeout'] });
});
afterEach(() => {
  status.dispose();
  mock.timers.reset();
});

/** Look at the server that is known; remember each state. */
function look(): Status['state'][] {
  status = new ServerStatus(known, () => session);
  const states = [status.now.state];
  status.changed.connect(({ now }) => states.push(now.state));
  return states;
}

const connect = (url = server.url) => known.set({ url, token: 'secret' });
const is = (state: Status['state']) => eventually(() => status.now.state === state);
const asked = (times: number) => eventually(() => server.requests.length === times);

test('without a server nobody is asked', async () => {
  const states = look();
  mock.timers.tick(60_000);
  assert.deepEqual(states, ['off']);
  assert.equal(server.requests.length, 0);
});

test('a server is asked when it becomes known, and not any more when it is forgotten', async () => {
  const states = look();
  connect();
  await is('on');
  assert.ok(status.now.state === 'on');
  assert.deepEqual([status.now.gpus, status.now.session], [[GPU], IDLE]);
  known.forget();
  assert.deepEqual(states, ['off', 'connecting', 'on', 'off']);
  mock.timers.tick(60_000);
  assert.equal(server.requests.length, 1);
});

test('the token and the session stand in headers', async () => {
  session = 'session-one';
  connect();
  look();
  await is('on');
  const { path, headers } = server.requests[0]!;
  assert.equal(path, '/kernel_proxy/api/v1/status');
  assert.equal(headers.authorization, 'token secret');
  assert.equal(headers['torch-session'], 'session-one');
});

test('it is asked each five seconds, and each two while a cell runs', async () => {
  connect();
  look();
  await is('on');
  mock.timers.tick(4999);
  assert.equal(server.requests.length, 1);
  answer = { body: { gpus: [], session: { ...IDLE, cell_s: 3 } } };
  mock.timers.tick(1);
  await eventually(() => status.now.state === 'on' && status.now.session?.cell_s === 3);
  mock.timers.tick(1999);
  assert.equal(server.requests.length, 2);
  mock.timers.tick(1);
  await asked(3);
});

test('what changes again and again is asked about once, a quarter of a second later', async () => {
  connect();
  look();
  await is('on');
  for (let time = 0; time < 5; time++) {
    status.askSoon();
    mock.timers.tick(49);
  }
  assert.equal(server.requests.length, 1);
  answer = { body: { gpus: [], session: { ...IDLE, seq: 2 } } };
  mock.timers.tick(5);
  await eventually(() => status.now.state === 'on' && status.now.session?.seq === 2);
  mock.timers.tick(4999);
  assert.equal(server.requests.length, 2);
});

test('so is what changes while an answer is on its way', async () => {
  mock.timers.reset();
  connect();
  look();
  status.askSoon();
  await asked(1);
  await asked(2);
});

test('a refusal is in the words of the server, and it is asked again after half a minute', async () => {
  answer = { status: 401, body: { message: 'Not this page.' } };
  connect();
  look();
  await is('refused');
  assert.ok(status.now.state === 'refused');
  assert.equal(status.now.message, 'Not this page.');
  mock.timers.tick(29_999);
  assert.equal(server.requests.length, 1);
  answer = { body: { gpus: [], session: null } };
  mock.timers.tick(1);
  await is('on');
});

test('a server that is gone is asked at longer and longer times, up to half a minute', async () => {
  const { url, close } = await serve(() => ({}));
  close();
  connect(url);
  look();
  const waits: number[] = [];
  for (let time = 0; time < 7; time++) {
    const before = status.now;
    await eventually(() => status.now !== before && status.now.state === 'lost');
    assert.ok(status.now.state === 'lost');
    waits.push(Math.round((status.now.retryAt - performance.now()) / 1000));
    mock.timers.tick(waits.at(-1)! * 1000);
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 30, 30]);
});

test('an answer that comes after the server was forgotten is dropped', async () => {
  connect();
  const states = look();
  known.forget();
  await asked(1);
  await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(states, ['connecting', 'off']);
});

test('a page that nobody sees asks nobody, until it is seen', async t => {
  let visible: DocumentVisibilityState = 'hidden';
  t.mock.getter(document, 'visibilityState', () => visible);
  connect();
  look();
  mock.timers.tick(60_000);
  assert.equal(server.requests.length, 0);
  visible = 'visible';
  document.dispatchEvent(new Event('visibilitychange'));
  await is('on');
});
