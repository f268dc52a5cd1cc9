import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { Panel } from '@lumino/widgets';

import { dialog, eventually, Kernels, press, Sessions, trans } from '../../testing/jupyterlab';
import { serve } from '../../testing/server';
import type { WorkerEnd } from '../../testing/worker';
import { InputQuestions } from '../cells/input';
import { Stops } from '../cells/stop';
import { PROTOCOL } from '../connect/doctor';
import { KnownServer } from '../connect/known-server';
import { ServerQuestions } from '../connect/server-questions';
import { KernelSessions } from './kernel-sessions';
import { Lines } from './lines';
import { SessionIds } from './session-id';

const SERVER = { url: 'http://127.0.0.1:8889', token: 'secret' };
const DEFAULT = 'https://gpu.example.org';

let kernels: Kernels;
let sessions: Sessions;
let known: KnownServer;

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
  kernels = new Kernels();
  sessions = new Sessions();
  known = new KnownServer(sessionStorage, localStorage);
});
afterEach(async () => {
  // An open line would keep Node from its end.
  for (const { id } of await kernels.listRunning()) {
    kernels.remove(id);
  }
});

function makeLines(): Lines {
  return new Lines({
    kernels: kernels.client,
    sessions: new KernelSessions(sessions.manager, new SessionIds(sessionStorage, null)),
    server: known,
    defaultServer: DEFAULT,
    questions: new ServerQuestions(async () => [], trans),
    inputs: async () => new InputQuestions(new Panel(), trans),
    stops: new Stops(trans),
    files: () => Promise.reject(new Error('nothing is moved here')),
    trans
  });
}

/** A kernel whose worker has its line. */
async function start(id: string): Promise<WorkerEnd> {
  sessions.start(id, `${id}.ipynb`);
  const worker = kernels.add(id);
  await eventually(() => worker.greeting);
  return worker;
}

test('a kernel is greeted with its session and the servers that are known', async () => {
  known.set(SERVER);
  const lines = makeLines();
  const { greeting } = await start('one');
  assert.deepEqual(greeting, {
    type: 'jupyterlite-torch',
    session: lines.sessionOf('one'),
    server: SERVER,
    default: DEFAULT
  });
  assert.equal(greeting!.session, sessionStorage.getItem('session:one.ipynb'));
  assert.equal(lines.sessionOf('two'), null);
});

test('a kernel that runs already is found', async () => {
  sessions.start('one', 'one.ipynb');
  const worker = kernels.add('one');
  makeLines();
  assert.ok(await eventually(() => worker.greeting));
});

test('kernels of other languages have no line', async () => {
  const lines = makeLines();
  const other = kernels.add('other', 'javascript');
  await start('one');
  assert.equal(other.greeting, undefined);
  assert.equal(lines.sessionOf('other'), null);
});

test('a restart gives a new line with the same session', async () => {
  makeLines();
  const before = await start('one');
  kernels.remove('one');
  const after = await start('one');
  assert.notEqual(after, before);
  assert.equal(after.greeting!.session, before.greeting!.session);
});

test('connecting and leaving is told to all kernels', async () => {
  const lines = makeLines();
  const workers = [await start('one'), await start('two')];
  lines.connect(SERVER);
  assert.ok(lines.connected);
  for (const worker of workers) {
    assert.deepEqual(await worker.next(), { type: 'server', server: SERVER });
  }
  lines.disconnect();
  assert.ok(!lines.connected);
  for (const worker of workers) {
    assert.deepEqual(await worker.next(), { type: 'server', server: null });
  }
});

test('a kernel that asks gets what the person connects to, and tells the others', async () => {
  const { url } = await serve(() => ({
    body: { name: 'jupyterlite-torch', version: '1', protocol: PROTOCOL }
  }));
  const lines = makeLines();
  const [one, two] = [await start('one'), await start('two')];
  // In another spelling, in which it gets the answer.
  one.say({ type: 'ask-server', id: 'q', url: `${url}/` });
  const [, credential] = Array.from((await dialog()).querySelectorAll('input'));
  credential!.value = 'secret';
  await press('Connect');
  const server = { url: `${url}/`, token: 'secret' };
  assert.deepEqual(await one.next(), { type: 'chosen', id: 'q', server });
  assert.ok(!lines.connected);
  one.say({ type: 'connected', url: `${url}/` });
  assert.deepEqual(await two.next(), { type: 'server', server });
  assert.deepEqual(known.get(), server);
  assert.deepEqual(await one.rest(), []);
  assert.equal(localStorage.length, 0);
});

test('who says no is told to the kernel', async () => {
  makeLines();
  const worker = await start('one');
  worker.say({ type: 'ask-server', id: 'q', url: null });
  await press('Cancel');
  assert.deepEqual(await worker.next(), { type: 'chosen', id: 'q', server: null });
});

test('a kernel has connected only to what it was given a token for', async t => {
  const warned = t.mock.method(console, 'warn', () => {});
  const lines = makeLines();
  const worker = await start('one');
  worker.say({ type: 'connected', url: 'https://evil.example.org' });
  await eventually(() => warned.mock.callCount());
  assert.ok(!lines.connected);
});

test('a kernel that leaves takes all with it', async () => {
  known.remember(SERVER);
  const lines = makeLines();
  const [one, two] = [await start('one'), await start('two')];
  one.say({ type: 'disconnected' });
  assert.deepEqual(await two.next(), { type: 'server', server: null });
  assert.ok(!lines.connected);
});

test('Stop goes over the line, and to the kernel as before', async () => {
  makeLines();
  const worker = await start('one');
  await kernels.client.interrupt('one');
  assert.deepEqual(await worker.next(), { type: 'interrupt' });
  await kernels.client.interrupt('other');
  assert.deepEqual(kernels.interrupted, ['one', 'other']);
});

test('those who listen are told when a remote cell begins and ends', async () => {
  const lines = makeLines();
  let changes = 0;
  lines.cellChanged.connect(() => changes++);
  const worker = await start('one');
  const cell = { type: 'cell', id: 'a', message: null, background: false, receipt: null };
  worker.say({ ...cell, state: 'running' });
  await eventually(() => changes === 1);
  worker.say({ ...cell, state: 'ended' });
  await eventually(() => changes === 2);
});

test('what there is to say of a server', async () => {
  const { url, requests } = await serve(() => ({
    body: { name: 'jupyterlite-torch', version: '1', protocol: PROTOCOL }
  }));
  const lines = makeLines();
  const worker = await start('one');
  known.set({ url, token: 'secret' });
  worker.say({ type: 'ask-doctor', id: 'q', url: null });
  const answer = await worker.next();
  assert.ok(answer.type === 'doctor' && answer.id === 'q');
  assert.match(answer.text, /Nothing is wrong/);
  assert.equal(requests.at(-1)!.headers.authorization, 'token secret');
  // The token is for its own server only.
  const other = await serve(() => ({ status: 401, body: { reason: 'token' } }));
  await lines.examine(other.url);
  assert.equal(other.requests.at(-1)!.headers.authorization, 'token');
});

test('input is asked for, and not any more when its kernel is gone', async () => {
  makeLines();
  const worker = await start('one');
  worker.say({ type: 'ask-input', id: 'q', prompt: 'Name: ', password: false, cell: null });
  (await dialog()).querySelector('input')!.value = 'Ada';
  await press('OK');
  assert.deepEqual(await worker.next(), { type: 'input', id: 'q', value: 'Ada' });
  worker.say({ type: 'ask-input', id: 'r', prompt: '', password: false, cell: null });
  await eventually(() => document.querySelector('.jp-Dialog'));
  kernels.remove('one');
  await eventually(() => !document.querySelector('.jp-Dialog'));
});
