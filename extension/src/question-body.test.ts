import assert from 'node:assert/strict';
import { test } from 'node:test';

import { QuestionBody } from './question-body';

test('paragraphs are text and no markup', () => {
  const { node } = new QuestionBody(['One', '<b>two</b>']);
  assert.deepEqual(
    Array.from(node.querySelectorAll('p'), paragraph => paragraph.textContent),
    ['One', '<b>two</b>']
  );
  assert.equal(node.querySelector('b'), null);
});

test('the value is what was typed, spaces as well', () => {
  const body = new QuestionBody([], { label: 'Name: ', password: false });
  const input = body.node.querySelector('input')!;
  assert.equal(input.closest('label')!.textContent, 'Name: ');
  assert.equal(body.getValue(), '');
  input.value = ' two words ';
  assert.equal(body.getValue(), ' two words ');
});

test('a password can not be read, and no browser keeps it', () => {
  const { node } = new QuestionBody([], { label: 'Key', password: true });
  const { type, autocomplete } = node.querySelector('input')!;
  assert.deepEqual([type, autocomplete], ['password', 'off']);
});

test('without a field there is no value', () => {
  assert.equal(new QuestionBody(['One']).getValue(), '');
});
