import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { trans } from '../../testing/jupyterlab';
import { serve, type IAnswer } from '../../testing/server';
import { KnownServer } from '../connect/known-server';
import { Control, ControlError } from './control';

let answer: IAnswer;
const server = await serve(() => answer);
let known: KnownServer;
let control: Control;

beforeEach(() => {
  sessionStorage.clear();
  server.requests.length = 0;
  known = new KnownServer(sessionStorage, null);
  known.set({ url: server.url, token: 'secret' });
  control = new Control(known, trans);
});

/** What is asked, with the token in a header and nowhere else. */
function asked(): unknown[] {
  const { method, path, headers, body } = server.requests.pop()!;
  assert.equal(headers.authorization, 'token secret');
  assert.ok(!path.includes('secret') && !path.includes('session-one'));
  const question = [method, path.replace('/kernel_proxy/api/v1/', ''), headers['torch-session']];
  return body ? [...question, headers['content-type'], JSON.parse(body)] : question;
}

function fails(asking: Promise<unknown>, message: string): Promise<void> {
  return assert.rejects(
    asking,
    error => error instanceof ControlError && error.message === message
  );
}

test('what a server tells of its sessions and their variables', async () => {
  answer = { body: { sessions: [{ id: 'session-one' }] } };
  assert.deepEqual(await control.sessions(), [{ id: 'session-one' }]);
  assert.deepEqual(asked(), ['GET', 'sessions', undefined]);
  answer = { body: { variables: [{ name: 'w' }], count: 7 } };
  assert.deepEqual(await control.variables('session-one'), answer.body);
  assert.deepEqual(asked(), ['GET', 'variables', 'session-one']);
  answer = { body: { text: 'tensor(', truncated: true } };
  assert.deepEqual(await control.preview('session-one', 'w'), answer.body);
  assert.deepEqual(asked(), ['POST', 'preview', 'session-one', 'application/json', { name: 'w' }]);
});

test('what it is told to do', async () => {
  answer = { body: { deleted: ['w'] } };
  assert.deepEqual(await control.deleteVariables('session-one', ['w', 'x']), ['w']);
  const names = { names: ['w', 'x'] };
  assert.deepEqual(asked(), ['DELETE', 'variables', 'session-one', 'application/json', names]);
  answer = { status: 204, body: new Uint8Array() };
  for (const [act, ...question] of [
    [() => control.interrupt('session-one'), 'POST', 'interrupt', 'session-one'],
    [() => control.restart('session-one'), 'POST', 'restart', 'session-one'],
    [() => control.shutDown('session-one'), 'DELETE', 'sessions', 'session-one']
  ] as const) {
    assert.equal(await act(), undefined);
    assert.deepEqual(asked(), question);
  }
  await control.rename('session-one', 'Ümläute');
  const named = { name: 'Ümläute' };
  assert.deepEqual(asked(), ['POST', 'rename', 'session-one', 'application/json', named]);
});

test('a refusal says what the server says, as far as it says anything', async () => {
  answer = { status: 409, body: { message: 'A cell runs in this session.' } };
  await fails(control.restart('session-one'), 'A cell runs in this session.');
  answer = { status: 404, body: { message: 'There is no such session.' } };
  await fails(control.interrupt('session-one'), 'There is no such session.');
  answer = { status: 404, body: Buffer.from('<h1>Not found</h1>') };
  await fails(
    control.variables('session-one'),
    'The server is too old for this: update jupyterlite-torch there.'
  );
  answer = { status: 502, body: Buffer.from('') };
  await fails(control.sessions(), 'The server says: 502.');
});

test('nobody else gets the token', async () => {
  const other = await serve(() => ({ body: { sessions: [] } }));
  answer = { status: 307, headers: { Location: `${other.url}/kernel_proxy/api/v1/sessions` } };
  await fails(control.sessions(), `${new URL(server.url).host} does not answer.`);
  assert.equal(other.requests.length, 0);
});

test('without a server, and with one that is gone', async () => {
  const gone = await serve(() => ({}));
  gone.close();
  known.set({ url: gone.url, token: 'secret' });
  await fails(control.sessions(), `${new URL(gone.url).host} does not answer.`);
  known.forget();
  await fails(control.sessions(), 'This page is not connected to a server.');
  assert.equal(server.requests.length, 0);
});
