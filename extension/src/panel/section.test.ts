import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { PanelOfPage } from '../../testing/panel';
import { Fold } from './fold';
import { Section } from './section';

/** Says of which session it is. */
class SessionSection extends Section {
  override refresh(): void {
    this.node.textContent = this.panel.session;
  }
}

let panel: PanelOfPage;

beforeEach(() => {
  panel = new PanelOfPage();
});
afterEach(() => panel.close());

test('a section shows what the panel has, when it is told to', () => {
  const section = new SessionSection(panel, 'Session');
  panel.session = 'session-one';
  assert.equal(section.node.textContent, '');
  section.refresh();
  assert.equal(section.node.textContent, 'session-one');
  assert.ok(section.hasClass('jp-Torch-section'));
});

test('its label is the title that folds it away', () => {
  const section = new SessionSection(panel, 'Session');
  const fold = new Fold(section);
  assert.equal(fold.node.querySelector('h3')!.textContent, 'Session');
  fold.node.querySelector('button')!.click();
  assert.ok(section.isHidden);
});
