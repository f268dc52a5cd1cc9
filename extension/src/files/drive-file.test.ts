import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Drive, trans } from '../../testing/jupyterlab';
import { DriveSink, driveSource, LocalSource, MAX_DRIVE_BYTES } from './drive-file';
import { FileError } from './session-files';

const bytes = Uint8Array.from({ length: 100 }, (_, index) => index * 5);
const base64 = Buffer.from(bytes).toString('base64');

/** All of a source, in parts that fit no boundary of base64. */
async function read(source: Awaited<ReturnType<typeof driveSource>>): Promise<Uint8Array> {
  const parts: number[] = [];
  for (let start = 0; start < source.size; start += 7) {
    parts.push(...(await source.slice(start, Math.min(start + 7, source.size))));
  }
  return Uint8Array.from(parts);
}

const open = (model: object) => driveSource(new Drive({ a: model }).manager, 'a', trans).then(read);
const text = async (model: object) => new TextDecoder().decode(await open(model));

test('a file of the drive is read as its bytes, however it is kept', async () => {
  for (const size of [0, 1, 2, 3, 98, 99, 100]) {
    const content = Buffer.from(bytes.slice(0, size)).toString('base64');
    assert.deepEqual(await open({ type: 'file', format: 'base64', content }), bytes.slice(0, size));
  }
  assert.equal(await text({ type: 'file', format: 'text', content: 'Grüße' }), 'Grüße');
  assert.equal(await text({ type: 'notebook', format: 'json', content: { a: 1 } }), '{"a":1}');
});

test('what can not be read is said', async () => {
  const { manager } = new Drive({ folder: { type: 'directory' } });
  for (const [path, sentence] of [
    ['none', /There is no file `none`/],
    ['folder', /`folder` is a folder. Pack it first/],
    ['100%', /can not keep a file with a `%`/]
  ] as const) {
    await assert.rejects(
      driveSource(manager, path, trans),
      error => error instanceof FileError && sentence.test(error.message)
    );
  }
});

test("a file of the person's computer", async () => {
  const source = new LocalSource(new File([bytes], 'a.bin'), trans);
  assert.equal(source.size, 100);
  assert.deepEqual(await source.slice(10, 20), bytes.slice(10, 20));
});

test('a file is in the drive when it is complete', async () => {
  const drive = new Drive({ folder: { type: 'directory' } });
  const sink = new DriveSink(drive.manager, 'folder/a.bin', trans);
  await sink.begin(100);
  // Parts are multiples of 3, but for the last.
  sink.write(bytes.slice(0, 60));
  sink.write(bytes.slice(60));
  assert.equal(drive.files['folder/a.bin'], undefined);
  await sink.end();
  assert.deepEqual(drive.files['folder/a.bin'], {
    type: 'file',
    format: 'base64',
    content: base64
  });
});

test('what the drive can not take is said before anything is fetched', async () => {
  const { manager } = new Drive({ folder: { type: 'directory' }, file: { type: 'file' } });
  for (const [path, size, sentence] of [
    ['a', MAX_DRIVE_BYTES + 1, /has 95 MiB, and a file/],
    ['folder', 1, /Name a file: `folder\/NAME`/],
    ['none/a', 1, /There is no folder `none`/],
    ['file/a', 1, /There is no folder `file`/],
    ['50%', 1, /can not keep a file with a `%`/]
  ] as const) {
    await assert.rejects(
      new DriveSink(manager, path, trans).begin(size),
      error => error instanceof FileError && sentence.test(error.message),
      path
    );
  }
});

test('a drive that fails keeps what was there', async () => {
  const drive = new Drive();
  drive.save = async () => {
    throw new Error('full');
  };
  const sink = new DriveSink(drive.manager, 'a', trans);
  await sink.begin(1);
  await assert.rejects(sink.end(), /can not keep `a` \(Error: full\)/);
});
