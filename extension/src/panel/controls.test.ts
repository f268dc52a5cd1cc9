import assert from 'node:assert/strict';
import { test } from 'node:test';

import { button, say, statusLine, toolbar } from './controls';

test('buttons stand in a group that has a name, and do what they say', () => {
  const clicked: string[] = [];
  const [one, two] = ['One', 'Two'].map(label =>
    button(label, `Does ${label}`, () => clicked.push(label))
  );
  const bar = toolbar('Both', one!, two!);
  assert.equal(bar.getAttribute('role'), 'group');
  assert.equal(bar.getAttribute('aria-label'), 'Both');
  assert.deepEqual(
    Array.from(bar.querySelectorAll('button'), ({ textContent, title }) => [textContent, title]),
    [
      ['One', 'Does One'],
      ['Two', 'Does Two']
    ]
  );
  two!.click();
  one!.click();
  assert.deepEqual(clicked, ['Two', 'One']);
  one!.disabled = true;
  one!.click();
  assert.equal(clicked.length, 2);
});

test('what has happened is said aloud, and as a fault if it is one', () => {
  const line = statusLine();
  assert.equal(line.getAttribute('role'), 'status');
  const isFault = () => line.classList.contains('jp-Torch-fault');
  say(line, 'It is gone.', true);
  assert.deepEqual([line.textContent, line.title, isFault()], ['It is gone.', 'It is gone.', true]);
  say(line, 'It is here.');
  assert.deepEqual(
    [line.textContent, line.title, isFault()],
    ['It is here.', 'It is here.', false]
  );
});

test('what is said already is not said again', async () => {
  const line = statusLine();
  say(line, 'It is here.');
  const said = line.firstChild;
  say(line, 'It is here.');
  assert.equal(line.firstChild, said);
  say(line, 'It is there.');
  assert.notEqual(line.firstChild, said);
});
