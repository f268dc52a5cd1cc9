import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { makeContents, MemoryDrive } from '../../testing/drive';
import { eventually, trans } from '../../testing/jupyterlab';
import { serveFolder } from '../../testing/session-folder';
import { openLine, type WorkerEnd } from '../../testing/worker';
import { KnownServer } from '../connect/known-server';
import type { Line } from '../kernels/line';
import { LineTransfers } from './line-transfers';
import { PART_BYTES } from './session-files';

const GET = { id: 'one', direction: 'get', here: 'a.pt', there: 'b.pt' } as const;

let own: MemoryDrive;
let other: MemoryDrive;
let known: KnownServer;
let line: Line;
let worker: WorkerEnd;
let transfers: LineTransfers;

beforeEach(() => {
  sessionStorage.clear();
  known = new KnownServer(sessionStorage, null);
  own = new MemoryDrive();
  other = new MemoryDrive('other');
  ({ line, worker } = openLine());
  transfers = new LineTransfers(makeContents(own, other), known, trans);
});
afterEach(() => line.close());

test('the worker is told how far its file is, and that it is there', async () => {
  const { server, files, requests } = await serveFolder();
  known.set(server);
  files.set('b.pt', Buffer.from('12345'));
  await transfers.move(line, GET, 'a.ipynb');
  assert.deepEqual(await worker.rest(), [
    { type: 'moved', id: 'one', done: 0, total: 5 },
    { type: 'moved', id: 'one', done: 5, total: 5 },
    { type: 'file', id: 'one', outcome: { size: 5, error: null } }
  ]);
  assert.equal(own.bytes('a.pt')!.toString(), '12345');
  assert.equal(requests[0]!.headers['torch-session'], line.session);
});

test('a path is one of the drive that the notebook is in', async () => {
  const { server, files } = await serveFolder();
  known.set(server);
  own.addText('a.pt', 'own');
  other.addText('a.pt', 'other');
  for (const location of ['other:a.ipynb', 'a.ipynb']) {
    await transfers.move(line, { ...GET, direction: 'put' }, location);
    assert.equal(files.get('b.pt')!.toString(), location === 'a.ipynb' ? 'own' : 'other');
  }
});

test('what went wrong is said in a sentence', async () => {
  await transfers.move(line, GET, 'a.ipynb');
  const { server } = await serveFolder();
  known.set(server);
  await transfers.move(line, { ...GET, id: 'two' }, 'a.ipynb');
  const outcome = (error: string) => ({ size: 0, error });
  assert.deepEqual(await worker.rest(), [
    { type: 'file', id: 'one', outcome: outcome('This page is not connected to a server.') },
    {
      type: 'file',
      id: 'two',
      outcome: outcome("There is no file b.pt in the session's folder.")
    }
  ]);
});

test('a cell that is stopped stops its file, and no other', async () => {
  const { server, files } = await serveFolder((_, ask) => {
    transfers.withdraw('one');
    return ask();
  });
  known.set(server);
  files.set('b.pt', Buffer.from('12345'));
  await transfers.move(line, GET, 'a.ipynb');
  assert.equal(own.models.size, 0);
  const [end] = await worker.rest();
  assert.ok(end?.type === 'file' && end.outcome.error, JSON.stringify(end));
  await transfers.move(line, { ...GET, id: 'two' }, 'a.ipynb');
  assert.equal(own.models.size, 1);
});

test('a kernel that is gone gets no more of its file', async () => {
  const { server, files, requests } = await serveFolder();
  known.set(server);
  files.set('b.pt', Buffer.alloc(2 * PART_BYTES));
  const moving = transfers.move(line, GET, 'a.ipynb');
  await eventually(() => requests.length === 1);
  line.close();
  await moving;
  assert.equal(requests.length, 1);
  assert.equal(own.models.size, 0);
});
