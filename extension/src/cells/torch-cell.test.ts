import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Cell } from '../../testing/cells';
import { canTurn, isTorch, magicLineOf } from './torch-cell';

/** The line of the magic, with its end. */
function line(source: string): string | null {
  const found = magicLineOf(source);
  return found && source.slice(found.start, found.end);
}

test('the line of the magic is found, with its end', () => {
  for (const [source, found] of [
    ['%%torch', '%%torch'],
    ['%%torch\n', '%%torch\n'],
    ['%%torch -o w --quiet\nw = 1', '%%torch -o w --quiet\n'],
    ['%%torch\t-o w\nw = 1', '%%torch\t-o w\n'],
    ['\n \t\n# note\n  # %%torch\n%%torch -o w\n%%torch\n', '%%torch -o w\n']
  ] as const) {
    assert.equal(line(source), found, source);
  }
});

test('other cells have no such line', () => {
  for (const source of [
    '',
    '\n',
    '# %%torch',
    ' %%torch\n',
    '%torch doctor',
    '%%torchx\n',
    '%%torch-x\n',
    'a = 1\n%%torch\n',
    '"""\n%%torch\n"""'
  ]) {
    assert.equal(line(source), null, source);
  }
});

test('a cell of many empty lines and comments is read at once', () => {
  const source = ' \t\n# #\n'.repeat(50_000);
  assert.equal(line(`${source}a`), null);
  assert.equal(line(`${source}%%torch\n`), '%%torch\n');
});

test('only cells of code that can be written to are turned', () => {
  assert.ok(isTorch(new Cell('%%torch\n')));
  assert.ok(!isTorch(new Cell('a = 1')));
  assert.ok(canTurn(new Cell('a = 1')));
  assert.ok(!canTurn(new Cell('a', { type: 'markdown' })));
  assert.ok(!canTurn(new Cell('a', { type: 'raw' })));
  assert.ok(!canTurn(new Cell('a = 1', { readOnly: true })));
  assert.ok(!canTurn(null));
});
