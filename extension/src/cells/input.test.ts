import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { dialog, eventually, press, trans } from '../../testing/jupyterlab';
import { Outputs } from '../../testing/outputs';
import { openLine, type WorkerEnd } from '../../testing/worker';
import type { Line } from '../kernels/line';
import { InputQuestions } from './input';

const QUESTION = { id: 'q', prompt: 'Name: ', password: false, cell: null };

let notebook: Outputs;
let inputs: InputQuestions;
let line: Line;
let worker: WorkerEnd;

beforeEach(() => {
  document.body.replaceChildren();
  notebook = new Outputs();
  inputs = new InputQuestions(notebook.root, trans);
  ({ line, worker } = openLine());
});
afterEach(() => {
  inputs.forget(line);
  line.close();
});

const closed = () => eventually(() => !document.querySelector('.jp-Dialog'));

test('where nobody knows the cell, a dialog asks', async () => {
  inputs.ask(line, { ...QUESTION, cell: 'elsewhere' });
  const shown = await dialog();
  assert.match(shown.textContent, /^Name: /);
  const field = shown.querySelector('input')!;
  assert.equal(document.activeElement, field);
  field.value = 'Ada';
  await press('OK');
  assert.deepEqual(await worker.next(), { type: 'input', id: 'q', value: 'Ada' });
  await closed();
});

test('closing the dialog is no answer', async () => {
  inputs.ask(line, { ...QUESTION, password: true });
  assert.equal((await dialog()).querySelector('input')!.type, 'password');
  await press('Cancel');
  assert.deepEqual(await worker.next(), { type: 'input', id: 'q', value: null });
  await closed();
});

test('a question that is withdrawn goes without an answer', async () => {
  inputs.ask(line, QUESTION);
  await dialog();
  inputs.withdraw(line, 'q');
  await closed();
  assert.deepEqual(await worker.rest(), []);
});

test('a cell is asked in its own outputs', async () => {
  const area = notebook.addCell('cell-one');
  inputs.ask(line, { ...QUESTION, cell: 'cell-one' });
  const field = await eventually(() => notebook.field(area));
  field.value = 'Ada';
  field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
  assert.deepEqual(await worker.next(), { type: 'input', id: 'q', value: 'Ada' });
  assert.equal(document.querySelector('.jp-Dialog'), null);
});

test('cleared outputs are asked in again', async () => {
  const area = notebook.addCell('cell-one');
  inputs.ask(line, { ...QUESTION, cell: 'cell-one' });
  const before = await eventually(() => notebook.field(area));
  // What clears them: the field's panel goes.
  area.widgets.at(-1)!.dispose();
  const after = await eventually(() => notebook.field(area));
  assert.notEqual(after, before);
  assert.deepEqual(await worker.rest(), []);
});

test('a deleted cell gives no answer', async () => {
  const area = notebook.addCell('cell-one');
  inputs.ask(line, { ...QUESTION, cell: 'cell-one' });
  await eventually(() => notebook.field(area));
  area.dispose();
  assert.deepEqual(await worker.next(), { type: 'input', id: 'q', value: null });
});

test('the questions of a line go with it', async () => {
  const area = notebook.addCell('cell-one');
  inputs.ask(line, { ...QUESTION, cell: 'cell-one' });
  inputs.ask(line, { ...QUESTION, id: 'r' });
  await dialog();
  inputs.forget(line);
  await closed();
  assert.equal(notebook.field(area), null);
  assert.deepEqual(await worker.rest(), []);
});
