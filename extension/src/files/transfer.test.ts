import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Drive, trans } from '../../testing/jupyterlab';
import { serve } from '../../testing/server';
import { SessionFiles } from './session-files';
import { transfer } from './transfer';

// The CRC-32 of `{}`, which the server sends.
const CRC = String(0xa3a6bf43);

const server = await serve(({ method, body }) =>
  method === 'PUT'
    ? { body: { size: body.length, complete: true } }
    : { headers: { 'Content-Range': 'bytes 0-1/2', 'Torch-Crc32': CRC } }
);
const files = new SessionFiles({ url: server.url, token: 'secret' }, 'session-one', trans);
const names = { here: 'here.txt', there: 'there.txt' };

test('a file of the drive goes into the folder', async () => {
  const { manager } = new Drive({ 'here.txt': { type: 'file', format: 'text', content: 'abc' } });
  const { signal } = new AbortController();
  await transfer({ direction: 'put', ...names }, files, manager, signal, () => {}, trans);
  const { method, body, headers } = server.requests.at(-1)!;
  assert.deepEqual([method, body, headers['torch-file']], ['PUT', 'abc', 'there.txt']);
});

test('a file of the folder comes into the drive', async () => {
  const drive = new Drive();
  const moved: number[][] = [];
  await transfer(
    { direction: 'get', ...names },
    files,
    drive.manager,
    new AbortController().signal,
    (done, total) => moved.push([done, total]),
    trans
  );
  assert.equal(drive.files['here.txt']!.content, btoa('{}'));
  assert.deepEqual(moved, [
    [0, 2],
    [2, 2]
  ]);
});

test('one that is stopped at its end is not kept', async () => {
  const drive = new Drive();
  const abort = new AbortController();
  const got = transfer(
    { direction: 'get', ...names },
    files,
    drive.manager,
    abort.signal,
    done => done && abort.abort(),
    trans
  );
  await assert.rejects(got, { name: 'AbortError' });
  assert.deepEqual(drive.files, {});
});
