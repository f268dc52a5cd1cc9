import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mock, test } from 'node:test';

import { eventually, trans } from '../../testing/jupyterlab';
import type { IAnswer } from '../../testing/server';
import { FOLDER, refusal, serveFolder, type ISessionFolder } from '../../testing/session-folder';
import { FileError, PART_BYTES, SessionFiles, type ISink, type ISource } from './session-files';

const MIB = 2 ** 20;
/** What something between the page and the server says. */
const BAD_GATEWAY: IAnswer = {
  status: 502,
  body: new TextEncoder().encode('<h1>Bad gateway</h1>')
};
const never = new AbortController().signal;

const filesOf = ({ server }: ISessionFolder) => new SessionFiles(server, 'session-one', trans);

function sourceOf(bytes: Buffer): ISource {
  return {
    size: bytes.length,
    slice: async (start, stop) => Uint8Array.from(bytes.subarray(start, stop))
  };
}

/** Collects a file. */
class Collector implements ISink {
  sizes: number[] = [];
  parts: Uint8Array[] = [];

  async begin(size: number): Promise<void> {
    this.sizes.push(size);
  }

  write(bytes: Uint8Array): void {
    this.parts.push(bytes);
  }
}

/** What a promise ends with, while the pauses between tries take no time. */
async function hurried(promise: Promise<unknown>): Promise<unknown> {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let end: { outcome: unknown } | null = null;
    promise.then(
      () => (end = { outcome: null }),
      error => (end = { outcome: error })
    );
    return (
      await eventually(() => {
        mock.timers.tick(1000);
        return end as { outcome: unknown } | null;
      })
    ).outcome;
  } finally {
    mock.timers.reset();
  }
}

test('the folder is listed, with names in any alphabet', async () => {
  const folder = await serveFolder();
  folder.files.set('größe/a.pt', Buffer.alloc(3));
  const listed = await filesOf(folder).list('größe', never);
  const entry = { name: 'a.pt', folder: false, bytes: 3, modified: 1_700_000_000 };
  assert.deepEqual(listed, { folder: `${FOLDER}/größe`, entries: [entry], more: false });
  const { path, headers } = folder.requests[0]!;
  assert.equal(path, '/kernel_proxy/api/v1/files');
  assert.equal(headers['torch-session'], 'session-one');
});

test('a file is put part by part', async () => {
  const folder = await serveFolder();
  const bytes = randomBytes(PART_BYTES + 5);
  const seen: number[][] = [];
  await filesOf(folder).put('a.pt', sourceOf(bytes), never, (...moved) => seen.push(moved));
  assert.ok(folder.files.get('a.pt')!.equals(bytes));
  assert.deepEqual(seen, [
    [PART_BYTES, bytes.length],
    [bytes.length, bytes.length]
  ]);
  await filesOf(folder).put('empty', sourceOf(Buffer.alloc(0)), never, () => {});
  assert.equal(folder.files.get('empty')!.length, 0);
});

test('a file is fetched part by part, an empty one as well', async () => {
  const folder = await serveFolder();
  const bytes = randomBytes(PART_BYTES + 5);
  folder.files.set('a.pt', bytes);
  folder.files.set('empty', Buffer.alloc(0));
  const sink = new Collector();
  const seen: number[] = [];
  await filesOf(folder).get('a.pt', sink, never, done => seen.push(done));
  assert.deepEqual(sink.sizes, [bytes.length]);
  assert.ok(Buffer.concat(sink.parts).equals(bytes));
  assert.deepEqual(seen, [0, PART_BYTES, bytes.length]);
  const empty = new Collector();
  await filesOf(folder).get('empty', empty, never, () => {});
  assert.deepEqual(empty.sizes, [0]);
});

test('after a broken line it goes on from what is there, in smaller parts', async () => {
  let number = 0;
  const folder = await serveFolder((_, ask) => {
    number++;
    // The first part does not arrive, the answer to the second does not come back.
    if (number <= 2) {
      if (number === 2) {
        ask();
      }
      return BAD_GATEWAY;
    }
    return ask();
  });
  const bytes = randomBytes(2 * MIB);
  const put = filesOf(folder).put('a.pt', sourceOf(bytes), never, () => {});
  assert.equal(await hurried(put), null);
  assert.ok(folder.files.get('a.pt')!.equals(bytes));
  const small = 0.75 * MIB;
  assert.deepEqual(
    folder.requests.map(({ headers, bytes }) => [Number(headers['torch-start']), bytes.length]),
    [
      [0, 2 * MIB],
      [0, small],
      [0, small],
      [small, small],
      [2 * small, 0.5 * MIB]
    ]
  );
});

test('a part that has changed on its way is fetched again', async () => {
  let number = 0;
  const folder = await serveFolder((_, ask) => ({
    ...ask(),
    ...(++number === 1 ? { body: Buffer.from('forged') } : {})
  }));
  folder.files.set('a.txt', Buffer.from('honest'));
  const sink = new Collector();
  assert.equal(await hurried(filesOf(folder).get('a.txt', sink, never, () => {})), null);
  assert.equal(Buffer.concat(sink.parts).toString(), 'honest');
});

test('a file that becomes another one midway is refused', async () => {
  const folder = await serveFolder();
  folder.files.set('a.pt', randomBytes(PART_BYTES + 5));
  const get = filesOf(folder).get('a.pt', new Collector(), never, done => {
    if (done === PART_BYTES) {
      folder.files.set('a.pt', randomBytes(PART_BYTES + 5));
    }
  });
  await assert.rejects(get, { message: 'a.pt was changed meanwhile.' });
});

test('a refusal is in the words of the server, and nothing of the upload is left', async () => {
  const folder = await serveFolder(({ headers }, ask) =>
    headers['torch-start'] === String(PART_BYTES) ? refusal(507, 'The disk is full.') : ask()
  );
  const source = sourceOf(randomBytes(PART_BYTES + 5));
  const error = await filesOf(folder)
    .put('a.pt', source, never, () => assert.equal(folder.uploads.size, 1))
    .catch(error => error);
  assert.ok(error instanceof FileError);
  assert.equal(error.message, 'The disk is full.');
  await eventually(() => folder.requests.at(-1)!.method === 'DELETE');
  assert.equal(folder.uploads.size, 0);
  assert.equal(folder.requests.filter(({ method }) => method === 'PUT').length, 2);
});

test('a line that stays broken is given up, and one that is stopped at once', async () => {
  const folder = await serveFolder(() => BAD_GATEWAY);
  const error = await hurried(filesOf(folder).get('a.pt', new Collector(), never, () => {}));
  assert.ok(error instanceof FileError);
  assert.match(error.message, /broke while `a.pt`.* 5 tries/);
  assert.equal(folder.requests.length, 5);

  const abort = new AbortController();
  const stopped = filesOf(folder).list('', abort.signal);
  await eventually(() => folder.requests.length === 6);
  abort.abort();
  await assert.rejects(stopped, { name: 'AbortError' });
  assert.equal(folder.requests.length, 6);
});
