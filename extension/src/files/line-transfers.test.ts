import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Drive, trans } from '../../testing/jupyterlab';
import { serve } from '../../testing/server';
import { openLine } from '../../testing/worker';
import { KnownServer } from '../connect/known-server';
import { LineTransfers } from './line-transfers';

const PUT = { id: 'f', direction: 'put', here: 'a.txt', there: 'b.txt' } as const;
const FILE = { type: 'file', format: 'text', content: 'abc' } as const;

const known = new KnownServer(sessionStorage, null);
const server = await serve(({ body }) => ({ body: { size: body.length, complete: true } }));

beforeEach(() => {
  sessionStorage.clear();
  known.set({ url: server.url, token: 'secret' });
});

test('the worker hears how far it is, and how it ended', async () => {
  const { line, worker } = openLine();
  const { manager } = new Drive({ 'a.txt': FILE });
  await new LineTransfers(manager, known, trans).move(line, PUT, 'work.ipynb');
  assert.deepEqual(await worker.next(), { type: 'moved', id: 'f', done: 3, total: 3 });
  const outcome = { size: 3, error: null };
  assert.deepEqual(await worker.next(), { type: 'file', id: 'f', outcome });
  assert.equal(server.requests.at(-1)!.headers['torch-session'], line.session);
  line.close();
});

test('names are of the drive in which the notebook is', async () => {
  const { line, worker } = openLine();
  const { manager } = new Drive({ 'usb:a.txt': FILE });
  await new LineTransfers(manager, known, trans).move(line, PUT, 'usb:work.ipynb');
  await worker.next();
  assert.deepEqual(await worker.next(), {
    type: 'file',
    id: 'f',
    outcome: { size: 3, error: null }
  });
  line.close();
});

test('what went wrong is a sentence', async () => {
  const { line, worker } = openLine();
  const transfers = new LineTransfers(new Drive().manager, known, trans);
  for (const sentence of [/There is no file `a.txt`/, /not connected to a server/]) {
    await transfers.move(line, PUT, 'work.ipynb');
    const told = await worker.next();
    assert.ok(told.type === 'file');
    assert.match(told.outcome.error!, sentence);
    known.forget();
  }
  line.close();
});
