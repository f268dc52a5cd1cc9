import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import type { Kernel } from '@jupyterlab/services';

import { KernelManager } from '../../testing/kernel-manager';
import { LinesOfPage } from '../../testing/lines';
import { serve, type IAnswer } from '../../testing/server';
import { addIntrospection } from './introspection';

const FOUND = { status: 'ok', matches: ['there'], metadata: {}, cursor_start: 0, cursor_end: 1 };
const CELL = '# \u{1f525}\n%%torch\nab';
/** Where `ab` begins, in code points. */
const CUT = 12;

let answer: IAnswer;
const server = await serve(() => answer);
let page: LinesOfPage;
let manager: KernelManager;
let kernel: Kernel.IKernelConnection;
let session: string;

beforeEach(async () => {
  answer = { body: FOUND };
  server.requests.length = 0;
  page = new LinesOfPage();
  page.known.set({ url: server.url, token: 'secret' });
  ({ session } = await page.start('one'));
  manager = new KernelManager();
  addIntrospection(manager.manager, page.known, page.lines);
  kernel = manager.connect('one');
});
afterEach(() => page.close());

const complete = (code: string, cursor_pos = [...code].length) =>
  kernel.requestComplete({ code, cursor_pos });

test("completions in a %%torch cell are the remote kernel's", async () => {
  const { content } = await complete(CELL);
  assert.deepEqual(content, { ...FOUND, cursor_start: CUT, cursor_end: CUT + 1 });
  const [{ path, headers, body }] = server.requests as [(typeof server.requests)[0]];
  assert.equal(path, '/kernel_proxy/api/v1/complete');
  assert.equal(headers['torch-session'], session);
  assert.deepEqual(JSON.parse(body), { code: 'ab', cursor_pos: 2 });
  assert.deepEqual(manager.asked, []);
});

test('tooltips are so too', async () => {
  answer = { body: { status: 'ok', found: true, data: { 'text/plain': 'x' }, metadata: {} } };
  const asked = { code: CELL, cursor_pos: CUT + 1, detail_level: 0 } as const;
  const { header, content } = await kernel.requestInspect(asked);
  assert.equal(header.msg_type, 'inspect_reply');
  assert.deepEqual(content, answer.body);
  assert.deepEqual(JSON.parse(server.requests[0]!.body), {
    code: 'ab',
    cursor_pos: 1,
    detail_level: 0
  });
  assert.deepEqual(manager.asked, []);
});

test("the line of the magic and local cells are the local kernel's", async () => {
  await complete('ab');
  await complete(CELL, CUT - 1);
  await complete('%%torch -o a');
  await kernel.requestInspect({ code: CELL, cursor_pos: 5, detail_level: 0 });
  assert.deepEqual(manager.asked, ['complete', 'complete', 'complete', 'inspect']);
  assert.equal(server.requests.length, 0);
});

test('so is what there is no remote session for', async () => {
  const { content } = await manager.connect('two').requestComplete({ code: CELL, cursor_pos: CUT });
  assert.deepEqual(content, { status: 'ok', matches: ['here'] });
  page.known.forget();
  await complete(CELL);
  assert.deepEqual(manager.asked, ['complete', 'complete']);
  assert.equal(server.requests.length, 0);
  // The server has none for it yet.
  page.known.set({ url: server.url, token: 'secret' });
  answer = { status: 404, body: { message: 'There is no such session.' } };
  assert.deepEqual((await complete(CELL)).content, { status: 'ok', matches: ['here'] });
  assert.equal(server.requests.length, 1);
});
