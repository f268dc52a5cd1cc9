import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import type { Kernel } from '@jupyterlab/services';

import { serve, type IAnswer } from '../../testing/server';
import { askRemote, type IQuestion } from './remote-introspection';

const KERNEL = { clientId: 'client-one', username: 'me' } as Kernel.IKernelConnection;

let answer: IAnswer;
const server = await serve(() => answer);

beforeEach(() => {
  server.requests.length = 0;
});

/** The question at a place of a cell that began with `%%torch` and a line's end. */
function question(code: string, cursor_pos: number, url = server.url): IQuestion {
  const content = { code, cursor_pos };
  return { server: { url, token: 'secret' }, session: 'session-one', content, cut: 8 };
}

test('matches are asked for without the first line, and stand where the cell has them', async () => {
  const metadata = { _jupyter_types_experimental: [] };
  const matches = ['torch.zeros', 'torch.zeros_like'];
  answer = { body: { status: 'ok', matches, metadata, cursor_start: 2, cursor_end: 9 } };
  const reply = await askRemote('complete', KERNEL, question('\u{1f525}=torch.z', 17));
  const [{ method, path, headers, body }] = server.requests as [(typeof server.requests)[0]];
  assert.equal(`${method} ${path}`, 'POST /kernel_proxy/api/v1/complete');
  assert.equal(headers.authorization, 'token secret');
  assert.equal(headers['torch-session'], 'session-one');
  assert.deepEqual(JSON.parse(body), { code: '\u{1f525}=torch.z', cursor_pos: 9 });
  assert.equal(reply!.header.msg_type, 'complete_reply');
  assert.equal(reply!.header.session, 'client-one');
  assert.equal(reply!.channel, 'shell');
  const content = { status: 'ok', matches, metadata, cursor_start: 10, cursor_end: 17 };
  assert.deepEqual(reply!.content, content);
});

test('what a name stands for comes as the server has said it', async () => {
  const body = { status: 'ok', found: true, data: { 'text/plain': 'zeros(*size)' }, metadata: {} };
  answer = { body };
  const asked = question('zeros', 13);
  Object.assign(asked.content, { detail_level: 1 });
  const reply = await askRemote('inspect', KERNEL, asked);
  assert.equal(server.requests[0]!.path, '/kernel_proxy/api/v1/inspect');
  assert.equal(JSON.parse(server.requests[0]!.body).detail_level, 1);
  assert.equal(reply!.header.msg_type, 'inspect_reply');
  assert.deepEqual(reply!.content, body);
});

test('a place behind the end is the end, in code points', async () => {
  answer = { body: { status: 'ok', found: false, data: {}, metadata: {} } };
  await askRemote('inspect', KERNEL, question('\u{1f525}\u{1f525}', 99));
  assert.equal(JSON.parse(server.requests[0]!.body).cursor_pos, 2);
});

test('a server without that session leaves it to the local kernel', async () => {
  answer = { status: 404, body: { message: 'There is no such session.' } };
  assert.equal(await askRemote('complete', KERNEL, question('a', 9)), null);
  assert.equal(await askRemote('inspect', KERNEL, question('a', 9)), null);
});

test('a server that fails or is gone has found nothing', async () => {
  const gone = await serve(() => ({}));
  gone.close();
  answer = { status: 503, body: { message: 'The kernel does not answer.' } };
  for (const url of [server.url, gone.url]) {
    const completed = await askRemote('complete', KERNEL, question('abc', 11, url));
    const none = { status: 'ok', matches: [], metadata: {}, cursor_start: 11, cursor_end: 11 };
    assert.deepEqual(completed!.content, none);
    const inspected = await askRemote('inspect', KERNEL, question('abc', 11, url));
    assert.deepEqual(inspected!.content, { status: 'ok', found: false, data: {}, metadata: {} });
  }
});
