import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Widget } from '@lumino/widgets';

import { eventually } from '../../testing/jupyterlab';
import { Outputs } from '../../testing/outputs';
import { askInline, findOutputs } from './output-area';

let notebook: Outputs;
let answers: string[];
let gone: number;

beforeEach(() => {
  document.body.replaceChildren();
  notebook = new Outputs();
  answers = [];
  gone = 0;
});

function ask(msgId: string, password = false) {
  return askInline(findOutputs(notebook.root, msgId)!, {
    prompt: 'Name: ',
    password,
    onAnswer: value => answers.push(value),
    onGone: () => gone++
  });
}

function type(field: HTMLInputElement, text: string): void {
  field.value = text;
  field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
}

test('the outputs of a cell are found, with the kernel of its notebook', () => {
  notebook.addCell('a');
  const area = notebook.addCell('b');
  assert.deepEqual(findOutputs(notebook.root, 'b'), { area, kernel: notebook.kernel });
  assert.equal(findOutputs(notebook.root, 'c'), null);
});

test('cells that the layout leaves out are found in the list of all', () => {
  const area = notebook.addCell('a');
  const cell = area.parent!;
  cell.parent = null;
  const windowed = Object.assign(new Widget(), { widgets: [cell] });
  assert.equal(findOutputs(windowed, 'a')!.area, area);
});

test('the answer is what was typed, and the kernel waits no more', async () => {
  const area = notebook.addCell('a');
  assert.ok(ask('a'));
  const field = await eventually(() => notebook.field(area));
  assert.ok(notebook.kernel.hasPendingInput);
  assert.match(area.node.textContent, /Name: /);
  assert.equal(field.autocomplete, 'off');
  type(field, ' Ada ');
  assert.deepEqual(answers, [' Ada ']);
  assert.equal(notebook.kernel.hasPendingInput, false);
  assert.equal(gone, 0);
});

test('a password is not shown', async () => {
  const area = notebook.addCell('a');
  ask('a', true);
  assert.equal((await eventually(() => notebook.field(area))).type, 'password');
});

test('who asked can take it away', async () => {
  const area = notebook.addCell('a');
  const takeAway = ask('a')!;
  await eventually(() => notebook.field(area));
  takeAway();
  assert.equal(notebook.field(area), null);
  assert.deepEqual([answers, gone, notebook.kernel.hasPendingInput], [[], 0, false]);
});

test('a field that goes with its cell is told', async () => {
  const area = notebook.addCell('a');
  ask('a');
  await eventually(() => notebook.field(area));
  area.dispose();
  assert.deepEqual([answers, gone, notebook.kernel.hasPendingInput], [[], 1, false]);
});

test('a cell in the background keeps nobody from running others', () => {
  const area = notebook.addCell('a');
  Object.assign(area.future!, { isDisposed: true });
  ask('a');
  assert.equal(notebook.kernel.hasPendingInput, false);
});

test('nobody is asked where it can not be seen', () => {
  const area = notebook.addCell('a');
  Widget.detach(notebook.root);
  assert.equal(ask('a'), null);
  assert.equal(notebook.field(area), null);
  assert.equal(notebook.kernel.hasPendingInput, false);
});
