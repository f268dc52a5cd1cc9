import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { makeContents, MemoryDrive } from '../../testing/drive';
import { trans } from '../../testing/jupyterlab';
import { serveFolder, type ISessionFolder } from '../../testing/session-folder';
import { SessionFiles, type Moved } from './session-files';
import { transfer, type ITransfer } from './transfer';

const drive = new MemoryDrive();
const contents = makeContents(drive);
const abort = new AbortController();

function move({ server }: ISessionFolder, what: ITransfer, moved: Moved = () => {}): Promise<void> {
  const files = new SessionFiles(server, 'session-one', trans);
  return transfer(what, files, contents, abort.signal, moved, trans);
}

test('a file comes back as it went', async () => {
  const folder = await serveFolder();
  const bytes = randomBytes(1000);
  drive.addBytes('a.pt', bytes);
  await move(folder, { direction: 'put', here: 'a.pt', there: 'data/b.pt' });
  assert.ok(folder.files.get('data/b.pt')!.equals(bytes));
  const seen: [number, number][] = [];
  await move(folder, { direction: 'get', here: 'c.pt', there: 'data/b.pt' }, (...moved) =>
    seen.push(moved)
  );
  assert.ok(drive.bytes('c.pt')!.equals(bytes));
  assert.deepEqual(seen.at(-1), [1000, 1000]);
});

test('a file that is not there asks nobody, or leaves nothing', async () => {
  const folder = await serveFolder();
  await assert.rejects(move(folder, { direction: 'put', here: 'none', there: 'a' }), {
    message: /^There is no file `none`/
  });
  assert.equal(folder.requests.length, 0);
  await assert.rejects(move(folder, { direction: 'get', here: 'new', there: 'none' }), {
    message: /^There is no file none/
  });
  assert.equal(drive.models.has('new'), false);
});

test('what was stopped with its last part does not come into the drive', async () => {
  const folder = await serveFolder();
  folder.files.set('a', Buffer.from('after'));
  drive.addText('a', 'before');
  const get = move(folder, { direction: 'get', here: 'a', there: 'a' }, done => {
    if (done === 5) {
      abort.abort();
    }
  });
  await assert.rejects(get, { name: 'AbortError' });
  assert.equal(drive.bytes('a')!.toString(), 'before');
});
