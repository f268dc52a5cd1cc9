import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import type { Contents } from '@jupyterlab/services';

import { makeContents, MemoryDrive } from '../../testing/drive';
import { trans } from '../../testing/jupyterlab';
import { DriveSink, driveSource, LocalSource, MAX_DRIVE_BYTES } from './drive-file';
import { FileError } from './session-files';

let drive: MemoryDrive;
let contents: Contents.IManager;

beforeEach(() => {
  drive = new MemoryDrive();
  contents = makeContents(drive);
});

const source = (path: string) => driveSource(contents, path, trans);
const sink = (path: string) => new DriveSink(contents, path, trans);
const says = (message: RegExp) => (error: unknown) =>
  error instanceof FileError && message.test(error.message);

test('any part of a binary file can be had', async () => {
  for (const size of [0, 1, 2, 3, 7]) {
    const bytes = Uint8Array.from({ length: size }, (_, i) => 250 + i);
    drive.addBytes('a.bin', bytes);
    const file = await source('a.bin');
    assert.equal(file.size, size);
    for (let start = 0; start <= size; start++) {
      for (let stop = start; stop <= size; stop++) {
        assert.deepEqual(await file.slice(start, stop), bytes.slice(start, stop));
      }
    }
  }
});

test('text is its UTF-8, and a notebook is its JSON', async () => {
  drive.addText('a.txt', 'größer');
  const notebook = { cells: [], nbformat: 4 };
  drive.models.set('a.ipynb', { type: 'notebook', format: 'json', content: notebook });
  const [text, json] = [await source('a.txt'), await source('a.ipynb')];
  assert.equal(text.size, 8);
  assert.equal(Buffer.from(await text.slice(0, 4)).toString(), 'grö');
  assert.deepEqual(JSON.parse(Buffer.from(await json.slice(0, json.size)).toString()), notebook);
});

test('what can not be sent is named', async () => {
  drive.addFolder('data');
  await assert.rejects(source('none.txt'), says(/There is no file `none.txt`/));
  await assert.rejects(source('data'), says(/`data` is a folder\. Pack it first/));
});

test('a file of this computer is read as it goes, until it is gone', async () => {
  const file = new File(['0123456789'], 'a.txt');
  const local = new LocalSource(file, trans);
  assert.equal(local.size, 10);
  assert.equal(Buffer.from(await local.slice(3, 6)).toString(), '345');
  // What browsers do with a folder, and with a file that was changed.
  file.slice = () => {
    throw new DOMException('', 'NotReadableError');
  };
  await assert.rejects(local.slice(0, 1), says(/^`a.txt` can not be read/));
});

test('a file comes into the drive as a whole', async () => {
  drive.addFolder('data');
  drive.addText('data/a.bin', 'before');
  const file = sink('data/a.bin');
  await file.begin(5);
  file.write(Uint8Array.of(0, 128, 255));
  file.write(Uint8Array.of(1, 2));
  assert.equal(drive.bytes('data/a.bin')!.toString(), 'before');
  await file.end();
  assert.deepEqual([...drive.bytes('data/a.bin')!], [0, 128, 255, 1, 2]);
});

test('what does not fit into the drive is refused before it comes', async t => {
  drive.addFolder('data');
  const begin = (path: string, size = 1) => sink(path).begin(size);
  await begin('a.bin', MAX_DRIVE_BYTES);
  await assert.rejects(begin('a.bin', MAX_DRIVE_BYTES + 1), says(/has 95 MiB.* 95 MiB at most/));
  await assert.rejects(begin('data'), says(/Name a file: `data\/NAME`/));
  await assert.rejects(begin('none/a.bin'), says(/no folder `none`/));
  await assert.rejects(begin('100%'), says(/`100%`/));

  const estimate = async () => ({ quota: 5 * 2 ** 20, usage: 2 ** 20 });
  Object.defineProperty(navigator, 'storage', { value: { estimate }, configurable: true });
  t.after(() => Reflect.deleteProperty(navigator, 'storage'));
  // A third more is what base64 takes.
  await begin('a.bin', 3 * 2 ** 20);
  await assert.rejects(begin('a.bin', 3 * 2 ** 20 + 1), says(/has 3\.0 MiB.*no room/));
});

test('a drive that keeps nothing says so, and what was there stays', async () => {
  drive.addText('a.txt', 'before');
  const file = sink('a.txt');
  await file.begin(1);
  file.write(Uint8Array.of(65));
  drive.full = true;
  await assert.rejects(file.end(), says(/can not keep `a.txt` \(Error: QuotaExceededError\)/));
  assert.equal(drive.bytes('a.txt')!.toString(), 'before');
});
