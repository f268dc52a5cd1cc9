import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { trans } from '../../testing/jupyterlab';
import { serve, type IAnswer, type IRequest } from '../../testing/server';
import { FileError, PART_BYTES, SessionFiles, type ISource } from './session-files';

const never = new AbortController().signal;

let answer: (request: IRequest) => IAnswer;
const server = await serve(request => answer(request));
const files = new SessionFiles({ url: server.url, token: 'secret' }, 'session-one', trans);

beforeEach(() => {
  server.requests.length = 0;
});

const wait = globalThis.setTimeout;
// What is tried again is so at once; fetch has timers of its own, which are longer.
const soon = (run: () => void, ms = 0, ...rest: []) => wait(run, ms < 10_000 ? 0 : ms, ...rest);
beforeEach(() => Object.assign(globalThis, { setTimeout: soon }));
afterEach(() => Object.assign(globalThis, { setTimeout: wait }));

/** A file of so many bytes. */
function source(size: number): ISource {
  return { size, slice: async (start, stop) => new Uint8Array(stop - start).fill(1) };
}

test('the folder, with the name in a header and none of it in the address', async () => {
  const listing = { folder: '/work', entries: [], more: false };
  answer = () => ({ body: listing });
  assert.deepEqual(await files.list('tables/ä', never), listing);
  const { method, path, headers } = server.requests[0]!;
  assert.deepEqual([method, path], ['GET', '/kernel_proxy/api/v1/files']);
  assert.equal(headers['torch-file'], 'tables%2F%C3%A4');
  assert.equal(headers['torch-session'], 'session-one');
  assert.equal(headers.authorization, 'token secret');
});

test('what the server refuses is said in its words, and not tried again', async () => {
  answer = () => ({ status: 404, body: { message: 'There is no folder.' } });
  await assert.rejects(files.list('a', never), new FileError('There is no folder.'));
  assert.equal(server.requests.length, 1);
});

test('what something between refuses is tried again, but not for ever', async () => {
  answer = () => ({ status: 502, body: 'bad gateway' });
  await assert.rejects(files.list('a', never), /`a` was on its way, and 5 tries/);
  assert.equal(server.requests.length, 5);
});

test('a file goes in parts, from where the server says', async () => {
  let there = 0;
  const total = 2 * PART_BYTES + 10;
  answer = ({ headers }) => {
    assert.equal(headers['torch-start'], String(there));
    there = Math.min(there + PART_BYTES, total);
    return { body: { size: there, complete: there === total } };
  };
  const moved: number[] = [];
  await files.put('a.bin', source(total), never, done => moved.push(done));
  assert.deepEqual(moved, [PART_BYTES, 2 * PART_BYTES, total]);
  const uploads = new Set(server.requests.map(({ headers }) => headers['torch-upload']));
  assert.equal(uploads.size, 1);
});

test('an empty file goes, too', async () => {
  answer = () => ({ body: { size: 0, complete: true } });
  await files.put('empty', source(0), never, () => {});
  assert.equal(server.requests.length, 1);
});

test('a part that does not pass is sent smaller', async () => {
  answer = ({ body }) =>
    body.length > 2 ** 20 ? { status: 413 } : { body: { size: body.length, complete: true } };
  await files.put('a.bin', source(PART_BYTES), never, () => {});
  assert.deepEqual(
    server.requests.map(({ body }) => body.length),
    [PART_BYTES, (3 * 2 ** 20) / 4]
  );
});

test('an upload that is stopped is taken back', async () => {
  const abort = new AbortController();
  answer = () => ({ body: { size: 1, complete: false } });
  const put = files.put('a.bin', source(PART_BYTES), abort.signal, () => abort.abort());
  await assert.rejects(put, { name: 'AbortError' });
  while (server.requests.at(-1)!.method !== 'DELETE') {
    await new Promise(resolve => setImmediate(resolve));
  }
  const [sent, taken] = [server.requests[0]!, server.requests.at(-1)!];
  assert.equal(taken.headers['torch-upload'], sent.headers['torch-upload']);
});

test('a file comes with its size first, and a part that has changed is fetched again', async () => {
  // What the server sends is JSON here: two bytes, {}.
  let tries = 0;
  answer = () => ({
    headers: {
      'Content-Range': 'bytes 0-1/2',
      'Torch-Identity': 'one',
      'Torch-Crc32': ++tries === 1 ? '0' : String(0xa3a6bf43)
    }
  });
  const got: (string | number)[] = [];
  const sink = {
    begin: async (size: number) => void got.push(size),
    write: (bytes: Uint8Array) => void got.push(new TextDecoder().decode(bytes))
  };
  await files.get('a', sink, never, () => {});
  assert.deepEqual(got, [2, '{}']);
  assert.equal(server.requests.length, 2);
  assert.equal(server.requests[1]!.headers['torch-identity'], 'one');
});
