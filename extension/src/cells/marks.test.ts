import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import { trans } from '../../testing/jupyterlab';
import { KnownServer } from '../connect/known-server';
import { Marks } from './marks';
import type { ICell, IMarksOptions, INotebook } from './torch-cells';

// What marks say and follow is tested beside torch-cells.ts, by which they are used.
test('a cell has one mark, and one that is gone has none', () => {
  const marks = new Marks({
    lines: { transferred: new Signal({}), sessionOf: () => null },
    known: new KnownServer(sessionStorage, null),
    status: { now: { state: 'off' }, changed: new Signal({}) },
    connect: () => {},
    trans
  } as unknown as IMarksOptions);
  const notebook = { sessionContext: { session: null } } as unknown as INotebook;
  const cell = Object.assign(new Widget(), { model: { id: 'a' } }) as unknown as ICell;
  marks.add(notebook, cell);
  marks.add(notebook, cell);
  assert.equal(cell.node.querySelectorAll('.jp-Torch-mark').length, 1);
  marks.remove(cell);
  marks.remove(cell);
  assert.equal(cell.node.querySelector('.jp-Torch-mark'), null);
  cell.dispose();
  marks.add(notebook, cell);
  assert.equal(cell.node.querySelector('.jp-Torch-mark'), null);
});
