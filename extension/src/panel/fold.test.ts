import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Widget } from '@lumino/widgets';

import { Fold } from './fold';

test('a section is folded away and shown again, and says so', () => {
  const section = new Widget();
  section.title.label = 'GPUs';
  const fold = new Fold(section);
  let opened = 0;
  fold.opened.connect(() => opened++);
  const button = fold.node.querySelector('button')!;
  assert.equal(button.textContent, 'GPUs');
  assert.equal(button.getAttribute('aria-controls'), section.id);
  for (const [hidden, times] of [
    [false, 0],
    [true, 0],
    [false, 1]
  ] as const) {
    assert.equal(section.isHidden, hidden);
    assert.equal(button.getAttribute('aria-expanded'), String(!hidden));
    assert.equal(opened, times);
    button.click();
  }
});
