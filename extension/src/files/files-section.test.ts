import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { MimeData } from '@lumino/coreutils';
import { Widget } from '@lumino/widgets';

import { makeContents, MemoryDrive } from '../../testing/drive';
import { eventually, trans } from '../../testing/jupyterlab';
import { FOLDER, refusal, serveFolder, type ISessionFolder } from '../../testing/session-folder';
import { FilesSection } from './files-section';

let drive: MemoryDrive;
let session: string | null;
let section: FilesSection;

beforeEach(() => {
  drive = new MemoryDrive();
  drive.addFolder('notebooks');
  session = 'session-one';
});
afterEach(() => section.dispose());

/** The section of a session with these files, shown and filled. */
async function show(folder: ISessionFolder, ...names: string[]): Promise<void> {
  names.forEach(name => folder.files.set(name, Buffer.from(`in ${name}`)));
  section = new FilesSection({
    contents: makeContents(drive),
    server: () => folder.server,
    session: () => session,
    folder: () => 'notebooks',
    trans
  });
  Widget.attach(section, document.body);
  await eventually(() => text('.jp-Torch-files-where') || text('.jp-Torch-files-said'));
}

const find = <E extends HTMLElement>(selector: string) => section.node.querySelector<E>(selector);
const text = (selector: string) => find(selector)?.textContent;
const rows = () =>
  Array.from(
    section.node.querySelectorAll('.jp-Torch-files-list li'),
    row => row.querySelector('.jp-Torch-files-name, button')!.textContent
  );

function click(label: string): void {
  const buttons = Array.from(section.node.querySelectorAll('button'));
  const found = buttons.find(
    button => (button.getAttribute('aria-label') ?? button.textContent) === label
  );
  assert.ok(found, `No button ${label}`);
  found.click();
}

/** Let something go over the section; whether it takes it. */
function drop(type: string, init: DragEventInit, more: object = {}): boolean {
  const event = new DragEvent(type, { bubbles: true, cancelable: true, ...init });
  section.node.dispatchEvent(Object.assign(event, more));
  return event.defaultPrevented;
}

test('it shows what is in the folder, and in folders of it', async () => {
  const folder = await serveFolder();
  await show(folder, 'a.txt', 'data/b.txt');
  assert.equal(text('.jp-Torch-files-where'), FOLDER);
  assert.deepEqual(rows(), ['a.txt', 'data/']);
  assert.match(text('.jp-Torch-files-list small')!, /^8 B · /);
  click('data/');
  await eventually(() => text('.jp-Torch-files-where') === `${FOLDER}/data`);
  assert.deepEqual(rows(), ['..', 'b.txt']);
  click('The folder above');
  await eventually(() => rows().includes('a.txt'));
  folder.files.clear();
  click('Refresh');
  await eventually(() => text('.jp-Torch-files-said') === 'Nothing is in it.');
  assert.deepEqual(rows(), []);
});

test('without a session it says what to do, and asks nobody', async () => {
  session = null;
  const folder = await serveFolder();
  await show(folder, 'a.txt');
  assert.match(text('.jp-Torch-files-said')!, /run a %%torch cell/);
  assert.equal(folder.requests.length, 0);
});

test('Get puts a file into the folder of the file browser', async () => {
  await show(await serveFolder(), 'data/b.txt');
  click('data/');
  await eventually(() => rows().includes('b.txt'));
  click('Get b.txt');
  await eventually(() => drive.bytes('notebooks/b.txt'));
  assert.equal(drive.bytes('notebooks/b.txt')!.toString(), 'in data/b.txt');
  await eventually(() => !find('.jp-Torch-files-move'));
});

test('files of this computer and of the file browser can be dropped on it', async () => {
  const folder = await serveFolder();
  await show(folder);
  const dataTransfer = {
    types: ['Files'],
    files: [new File(['one'], 'one.txt'), new File(['two'], 'two.txt')]
  } as unknown as DataTransfer;
  assert.ok(drop('dragover', { dataTransfer }));
  assert.ok(section.hasClass('jp-mod-dropTarget'));
  assert.ok(drop('drop', { dataTransfer }));
  assert.ok(!section.hasClass('jp-mod-dropTarget'));

  drive.addText('notebooks/three.txt', 'three');
  const mimeData = new MimeData();
  mimeData.setData('application/x-jupyter-icontents', ['notebooks/three.txt']);
  assert.ok(drop('lm-drop', {}, { mimeData, proposedAction: 'copy' }));
  await eventually(() => rows().length === 3);
  assert.deepEqual(
    [...folder.files].map(([name, bytes]) => [name, bytes.toString()]),
    ['one', 'two', 'three'].map(word => [`${word}.txt`, word])
  );
  // A cell of a notebook is no file.
  assert.ok(!drop('lm-drop', {}, { mimeData: new MimeData(), proposedAction: 'copy' }));
});

test('what went wrong stays until it is closed, and the next file goes its way', async () => {
  await show(
    await serveFolder((request, ask) =>
      request.method === 'GET' && request.headers['torch-file'] === 'a.txt'
        ? refusal(409, 'a.txt is no plain file.')
        : ask()
    ),
    'a.txt',
    'b.txt'
  );
  click('Get a.txt');
  click('Get b.txt');
  await eventually(() => drive.bytes('notebooks/b.txt'));
  assert.equal(text('[role=alert] span'), 'a.txt is no plain file.');
  assert.equal(find('[role=alert] progress'), null);
  click('Close');
  assert.equal(find('[role=alert]'), null);
});

test('a file that waits can be given up', async () => {
  const folder = await serveFolder();
  await show(folder, 'a.txt', 'b.txt');
  click('Get a.txt');
  click('Get b.txt');
  const waiting = section.node.querySelectorAll('.jp-Torch-files-move')[1]!;
  assert.match(waiting.textContent, /^b\.txt from the serverwaits/);
  waiting.querySelector('button')!.click();
  await eventually(() => !find('.jp-Torch-files-move'));
  assert.ok(drive.bytes('notebooks/a.txt'));
  assert.equal(drive.bytes('notebooks/b.txt'), undefined);
  assert.ok(!folder.requests.some(({ headers }) => headers['torch-file'] === 'b.txt'));
});
