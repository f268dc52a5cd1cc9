import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dialog, eventually, press, trans } from '../../testing/jupyterlab';
import { ServerQuestions } from './server-questions';

const ADDRESS = 'http://127.0.0.1:8889';
const gone = () => eventually(() => document.querySelector('.jp-Dialog') === null);

async function address(): Promise<string> {
  return (await dialog()).querySelector('input')!.value;
}

test('two who ask for one server get one dialog', async () => {
  const questions = new ServerQuestions(async () => [], trans);
  const answers = [questions.ask({}, ADDRESS), questions.ask({}, `${ADDRESS}/`)];
  assert.equal(await address(), ADDRESS);
  await press('Cancel');
  assert.deepEqual(await Promise.all(answers), [null, null]);
  await gone();
});

test('dialogs come one after the other', async () => {
  const questions = new ServerQuestions(async () => [], trans);
  const answers = [questions.ask({}, ADDRESS), questions.ask({}, 'https://gpu.example.org')];
  assert.equal(await address(), ADDRESS);
  assert.equal(document.querySelectorAll('.jp-Dialog').length, 1);
  await press('Cancel');
  await eventually(() => document.querySelector('input')?.value === 'https://gpu.example.org');
  await press('Cancel');
  assert.deepEqual(await Promise.all(answers), [null, null]);
  await gone();
});

test('the likeliest address stands there already', async () => {
  const questions = new ServerQuestions(async () => [ADDRESS, 'https://gpu.example.org'], trans);
  const answer = questions.ask({});
  assert.equal(await address(), ADDRESS);
  await press('Cancel');
  assert.equal(await answer, null);
  await gone();
});

test('the dialog goes with the last who asks', async () => {
  const questions = new ServerQuestions(async () => [], trans);
  const [one, two] = [{}, {}];
  const answers = [questions.ask(one, ADDRESS), questions.ask(two, ADDRESS)];
  await dialog();
  questions.withdraw(one);
  assert.ok(document.querySelector('.jp-Dialog'));
  questions.withdraw(two);
  assert.deepEqual(await Promise.all(answers), [null, null]);
  await gone();
});

test('who is gone before it is shown is not asked', async () => {
  const questions = new ServerQuestions(async () => [], trans);
  const asker = {};
  const answer = questions.ask(asker, ADDRESS);
  questions.withdraw(asker);
  assert.equal(await answer, null);
  assert.equal(document.querySelector('.jp-Dialog'), null);
});

test('nobody is asked for what is no address', async () => {
  assert.equal(
    await new ServerQuestions(async () => [], trans).ask({}, 'javascript:alert(1)'),
    null
  );
  assert.equal(document.querySelector('.jp-Dialog'), null);
});
