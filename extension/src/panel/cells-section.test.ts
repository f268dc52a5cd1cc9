import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Widget } from '@lumino/widgets';

import { trans } from '../../testing/jupyterlab';
import type { ICellSummary, Status } from '../status/server-status';
import { CellsSection } from './cells-section';

const CELL: ICellSummary = {
  id: 'a',
  state: 'ended',
  status: 'ok',
  started: '2026-01-01T12:00:00Z',
  seconds: 2,
  peak: 2 ** 30,
  bytes_up: 1024,
  bytes_down: 5
};

function on(...cells: ICellSummary[]): Status {
  const session = { id: 's', generation: 1, seq: 0, state: 'idle', cell_s: null, queued: 0, cells };
  return { state: 'on', url: 'http://here:1', gpus: [], session, since: performance.now() };
}

test('it shows the cells, the newest first, while it can be seen', () => {
  const panel = { status: { state: 'off' } as Status };
  const section = new CellsSection(panel, trans);
  panel.status = on(CELL);
  section.refresh();
  assert.equal(section.node.textContent, '');
  Widget.attach(section, document.body);
  const rows = () =>
    Array.from(section.node.querySelectorAll('tbody tr'), row =>
      Array.from(row.querySelectorAll('td'), ({ textContent }) => textContent).slice(1)
    );
  assert.deepEqual(rows(), [['done', '2.0 s', '1.0 GiB', '1.0 KiB', '5 B']]);
  const runs = { ...CELL, state: 'running', status: null, seconds: 61, peak: null } as const;
  const waits = { ...runs, state: 'queued', started: null, seconds: null } as const;
  panel.status = on({ ...CELL, status: 'error' }, runs, waits);
  section.refresh();
  assert.deepEqual(rows(), [
    ['waits', '', '', '1.0 KiB', ''],
    ['runs', '1:01', '', '1.0 KiB', ''],
    ['error', '2.0 s', '1.0 GiB', '1.0 KiB', '5 B']
  ]);
  for (const [now, said] of [
    [on(), 'No %%torch cell has run yet.'],
    [{ state: 'off' }, 'Not connected.'],
    [{ state: 'lost', url: 'http://here:1', retryAt: 0 }, 'The server does not answer.']
  ] as [Status, string][]) {
    panel.status = now;
    section.refresh();
    assert.equal(section.node.textContent, said);
  }
  section.dispose();
});
