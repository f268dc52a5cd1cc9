import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Drawing, HISTORY_MS } from './history';

/** The commands of a path of the drawing. */
function path(drawing: Drawing, name: string): string {
  return drawing.node.querySelector(`.jp-Torch-${name}`)!.getAttribute('d')!;
}

test('points run from the left, the oldest, to the right, now', () => {
  const drawing = new Drawing();
  const now = HISTORY_MS;
  drawing.draw(
    [now - 10_000, now].map((at, index) => ({ at, value: index })),
    now,
    'Load: 100 %'
  );
  assert.equal(path(drawing, 'curve'), 'M290.0 31.0L300.0 1.0');
  assert.equal(path(drawing, 'area'), 'M290.0 32L290.0 31.0L300.0 1.0L300.0 32Z');
  assert.equal(drawing.node.getAttribute('aria-label'), 'Load: 100 %');
});

test('where nobody asked, the curve is broken', () => {
  const drawing = new Drawing();
  drawing.draw(
    [0, 5000, 60_000].map(at => ({ at, value: 0.5 })),
    60_000,
    ''
  );
  assert.equal(path(drawing, 'curve').match(/M/g)!.length, 2);
});

test('values beyond a share stay in the picture', () => {
  const drawing = new Drawing();
  drawing.draw(
    [
      { at: 0, value: 7 },
      { at: 1, value: -7 }
    ],
    1,
    ''
  );
  assert.match(path(drawing, 'curve'), /^M\S+ 1\.0L\S+ 31\.0$/);
});
